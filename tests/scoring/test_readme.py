"""The room's README keeps its word: its example is a protocol that scores."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import scoring
from scoring.board import compute
from scoring.protocols import PROTOCOLS
from tests.scoring.conftest import Run
from tests.scoring.test_algoperf_boards import PUBLISHED

ROOM = Path(scoring.__file__).parent
TEXT = (ROOM / "README.md").read_text(encoding="utf-8")


def test_the_protocol_of_the_readme_scores(
    new_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
    monkeypatch.setattr("scoring.protocols.PROTOCOLS", dict(PROTOCOLS))
    space: dict[str, Any] = {}
    exec(code, space)
    run = new_run().add("lm-toy-v2", "a", [20, 21]).add("lm-toy-v2", "b", [20, float("inf")])
    board = compute([run.folder], protocol="hits")
    scores = {row.submission: (row.score, row.rank_low) for row in board.rows}
    assert scores == {"a": (1.0, 1), "b": (0.5, 2)}
    assert "a share of trials, no time" in board.notes


def test_every_file_named_is_there() -> None:
    for name in re.findall(r"`([a-z_]+(?:\.py|/))`", TEXT):
        assert (ROOM / name).exists(), name


def test_the_published_scores_are_those_that_come_out() -> None:
    """That they come out is tested in `test_algoperf_boards.py`; one hangs on a folder's order."""
    shown = Counter(re.findall(r"^\| ([a-z]\w+) \| ([\d.]+) \|", TEXT, flags=re.MULTILINE))
    published = {board: dict(rows) for board, rows in PUBLISHED.items()}
    published["v0.6 external"]["baseline"] = 0.4716
    rows = [row for own in published.values() for row in own.items()]
    assert shown == Counter((name, f"{score:.3f}") for name, score in rows)
