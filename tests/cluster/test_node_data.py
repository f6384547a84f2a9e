from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster.node_data import fetch_once


def test_whoever_comes_meanwhile_waits_and_finds_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path / "cache"))
    here = tmp_path / "data"
    at_once, most, downloads = 0, 0, 0
    begun = threading.Event()
    lock = threading.Lock()

    def fetch() -> None:
        nonlocal at_once, most, downloads
        with lock:
            at_once += 1
            most = max(most, at_once)
        if not here.exists():
            begun.wait(0.2)  # long enough for the others to come
            here.touch()
            downloads += 1
        with lock:
            at_once -= 1

    workload = SimpleNamespace(id=SimpleNamespace(family="lm"), fetch=fetch)
    threads = [threading.Thread(target=fetch_once, args=(workload,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, downloads) == (1, 1)


def test_a_cache_that_cannot_be_written_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path / "file" / "cache"))
    asked = []
    fetch_once(SimpleNamespace(id=SimpleNamespace(family="lm"), fetch=lambda: asked.append(1)))  # type: ignore[arg-type]
    assert asked == [1]
