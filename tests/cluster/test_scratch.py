"""A trial's folder for temporary files goes with the trial, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cluster.scratch import scratch

HOLDS = """
import signal
from cluster.scratch import scratch
with scratch() as folder:
    open(f"{folder}/large", "w").close()
    print(folder, flush=True)
    signal.pause()
"""
LONG_AGO = (0, 0)


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_it_is_new_and_goes_at_the_end() -> None:
    with scratch() as one, scratch() as other:
        (Path(one) / "deep").mkdir()
        assert one != other
    assert not Path(one).exists()
    assert not Path(other).exists()


def test_one_whose_supervisor_was_killed_goes_with_the_next_and_one_that_is_held_stays() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDS], stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout
        left = Path(held.stdout.readline().strip())
        os.utime(left, LONG_AGO)
        with scratch():
            assert (left / "large").exists()
        held.send_signal(signal.SIGKILL)
    with scratch():
        assert not left.exists()


def test_one_just_made_is_let_be(tmp_path: Path) -> None:
    young = tmp_path / "gradathlon-trial-young"
    young.mkdir()
    with scratch():
        assert young.exists()


def test_where_none_can_be_made_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(prefix: str) -> str:
        raise OSError

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with scratch() as folder:
        assert folder == ""
