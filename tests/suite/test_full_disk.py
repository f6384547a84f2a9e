"""A disk that is full: one line, exit code 2, and no folder left that a command made."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.checks.cells import Cell
from scoring.ground.files import absent, take_away
from suite.commands import conformance
from suite.conformance import ROWS, Kept, Row

Invoke = Callable[..., Any]
COMMANDS = [
    ["run", "demo", "-w", "lm-toy-v2", "-s", "adamw"],
    ["tune", "adamw", "lm-toy-v2"],
    ["calibrate", "adamw", "--suite", "demo"],
    ["sweep", "adamw", "lm-toy-v2", "--parameter", "lr=1e-3:1:log"],
    ["conformance", "adamw"],
]
CELL = Cell("check", True)


def full(path: Path, target: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def answered(source: object, steps: object) -> Iterator[Cell]:
    yield CELL


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_nothing_is_left_of_what_could_not_be_begun(
    words: list[str], fake: Any, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("fetch_all", "make_ready"):
        monkeypatch.setattr(conformance, name, lambda ids: None)
    monkeypatch.setattr(conformance, "cells", answered)
    monkeypatch.setattr(Path, "replace", full)
    result = invoke(*words, "-o", "new/deep/mine")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "new/deep/mine" in result.stderr.splitlines()[-1]
    assert "No space left on device" in result.stderr.splitlines()[-1]
    assert ".part" not in result.stderr
    assert not (tmp_path / "new").exists()
    (tmp_path / "new").mkdir()
    assert invoke(*words, "-o", "new/deep/mine").exit_code == 2
    assert list((tmp_path / "new").iterdir()) == [], "what was there before stays"


def test_rows_that_were_kept_stay_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.add(Row("adamw", "torch", "0", CELL))
    before = (tmp_path / ROWS).read_text()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(OSError, match=ROWS):
            kept.add(Row("sgd", "torch", "0", CELL))
    assert (tmp_path / ROWS).read_text() == before
    assert [row.submission for row in Kept(tmp_path).rows()] == ["adamw"]


def test_a_folder_above_that_others_use_stays(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "mine"
    made = absent(folder)
    folder.mkdir(parents=True)
    (tmp_path / "runs" / "another").mkdir()
    take_away(made)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["another"]
    take_away(absent(tmp_path))
    assert tmp_path.exists()
