"""Critical-difference and bump plots, and pictures as PNG."""

from __future__ import annotations

import dataclasses
import re
import xml.dom.minidom
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scoring.board import Board, compute
from scoring.ranking import Score
from scoring.report.png import png
from scoring.report.rank_pictures import (
    bump_svg,
    critical_difference_svg,
    mean_ranks,
    not_told_apart,
)
from tests.scoring.conftest import Run

LM, SHIFT = "lm-toy-v2", "homeostatic-toy-v3"


@pytest.fixture
def board(new_run: Callable[..., Run]) -> Board:
    run = new_run()
    for workload, second in ((LM, 30), (SHIFT, 21)):
        run.add(workload, "reference-torch", [20, 21, 19, 20.5, 19.5])
        run.add(workload, "fast", [10, 10.5, 9.5, 10.2, 9.8])
        run.add(workload, "even", [20, 20.4, 19.7, 20.1, 19.9])
        run.add(workload, "twin", [second, 20.6, 20, 19.5, 20.3])
        run.add(workload, "slow", [60, 61, 62, 60, 59])
    return compute([run.folder])


def test_bars_join_what_the_board_tells_not_apart(board: Board) -> None:
    order = ["fast", "even", "twin", "slow"]
    assert not_told_apart(board, order) == [["even", "twin"]]
    told = xml.dom.minidom.parseString(critical_difference_svg(board))
    text = told.getElementsByTagName("desc")[0].firstChild
    assert "No significant difference: even - twin" in text.data  # type: ignore[union-attr]


def test_pairs_told_not_apart_are_on_a_bar_though_one_between_them_is_not(board: Board) -> None:
    studies = {
        "fast": [1.2, 1.21, 1.19, 1.2, 1.2],
        "even": [1.1, 1.1, 1.11, 1.12, 1.08],
        "slow": [1.9, 0.2, 1.7, 0.1, 1.2],
    }
    scores = {
        name: Score({}, float(np.mean(own)), studies=dict(enumerate(own)))
        for name, own in studies.items()
    }
    noisy = dataclasses.replace(board, scores=scores)
    assert not_told_apart(noisy, list(studies)) == [["fast", "slow"], ["even", "slow"]]


def test_ranks_of_many_are_few_numbers(board: Board) -> None:
    rows = [dataclasses.replace(board.rows[0], submission=f"m{place}") for place in range(60)]
    scores = {row.submission: Score({}, 1.0) for row in rows}
    many = dataclasses.replace(board, rows=tuple(rows), scores=scores)
    numbers = re.findall(r'class="soft middle">(\d+)<', critical_difference_svg(many))
    assert 6 <= len(numbers) <= 12


def test_equal_ratios_share_a_rank(board: Board) -> None:
    rows = [row for row in board.rows if not row.is_reference]
    same = [dataclasses.replace(row, cells=rows[0].cells) for row in rows]
    assert set(mean_ranks(same).values()) == {2.5}
    assert mean_ranks(rows)["fast"] == 1.0
    assert mean_ranks(rows)["slow"] == 4.0


def test_a_bump_plot_has_a_rank_a_workload_and_the_score_s(board: Board) -> None:
    told = xml.dom.minidom.parseString(bump_svg(board))
    text: Any = told.getElementsByTagName("desc")[0].firstChild
    assert "fast: 1, 1, 1" in text.data
    assert "slow: 4, 4, 4" in text.data


def test_a_png_is_twice_the_picture_s_size(board: Board, tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    data = png(bump_svg(board))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width = int(xml.dom.minidom.parseString(bump_svg(board)).documentElement.getAttribute("width"))  # type: ignore[union-attr]
    assert int.from_bytes(data[16:20], "big") == 2 * width
    (tmp_path / "bump.png").write_bytes(data)
