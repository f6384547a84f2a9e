from __future__ import annotations

import dataclasses
import re
import xml.dom.minidom
from pathlib import Path

import numpy as np
import pytest

from scoring.board import Board, compute
from scoring.records import Record, RecordError, read_run
from scoring.report.curves import CROWD, side_plot
from scoring.report.heatmap import heatmap_svg
from scoring.report.palette import styles
from scoring.report.pictures import board_svg, curves_svg, static_profile_svg
from scoring.report.plots import BOTTOM, HEIGHT, TOP
from scoring.report.rank_pictures import bump_svg, critical_difference_svg
from scoring.times import first_hit
from tests.scoring.page_race import DIGITS, LM, race


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return race(tmp_path_factory.mktemp("runs") / "first", evaluations=20)


@pytest.fixture(scope="module")
def board(run: Path) -> Board:
    return compute([run])


@pytest.fixture(scope="module")
def records(run: Path) -> list[Record]:
    return read_run(run)


def test_pictures_stand_alone(board: Board, records: list[Record]) -> None:
    drawn = [board_svg(board), static_profile_svg(board), curves_svg(board, records, LM)]
    for picture in drawn:
        tree = xml.dom.minidom.parseString(picture).documentElement
        assert tree is not None
        assert [child.nodeName for child in tree.childNodes[:2]] == ["title", "desc"]
        assert "prefers-color-scheme: dark" in picture
        assert "var(" not in picture
        assert "hidden" not in picture.replace("aria-hidden", "")  # means nothing in an SVG file
        for row in board.rows:
            assert row.submission in picture


def test_boards_without_a_row_are_drawn_empty(board: Board) -> None:
    bare = dataclasses.replace(board, rows=(), workloads=())
    drawings = (board_svg, static_profile_svg, critical_difference_svg, bump_svg, heatmap_svg)
    for drawn in (draw(bare) for draw in drawings):
        xml.dom.minidom.parseString(drawn)


def test_every_class_of_the_curves_has_a_rule(board: Board, records: list[Record]) -> None:
    picture = curves_svg(board, records, LM)
    named = {name for names in re.findall('class="([^"]*)"', picture) for name in names.split()}
    rules = picture[picture.index("<style>") : picture.index("</style>")]
    # torch is drawn as lines are without a rule; the picture's root and swatches need none.
    assert {name for name in named if f".{name}" not in rules} == {"torch", "swatch", "card"}


@pytest.mark.parametrize("workload", [LM, DIGITS])
def test_curves_are_one_workloads_trials(
    board: Board, records: list[Record], workload: str
) -> None:
    picture = curves_svg(board, records, workload)
    own = [record for record in records if record.header.workload == workload]
    looks = styles(record.header.submission for record in records)
    reached = [one for one in own if first_hit(one.header, one.evaluations) is not None]
    assert 0 < len(reached) < len(own)
    for name, look in looks.items():
        framework = next(one.header.framework for one in own if one.header.submission == name)
        line = rf'class="line {framework} {look.colour} \w+" data-s="{look.series}"'
        mark = rf'class="mark {look.colour}[ \w]*" transform="[^"]*" data-s="{look.series}"'
        count = sum(one.header.submission == name for one in own)
        met = sum(one.header.submission == name for one in reached)
        assert len(re.findall(line, picture)) == count
        assert len(re.findall(mark, picture)) == met
    assert workload in picture
    assert ({LM: "target 2.45", DIGITS: "target 0.55"}[workload]) in picture
    assert picture.count('class="target"') == 1


def test_curves_are_drawn_on_the_boards_clock(run: Path, records: list[Record]) -> None:
    by_steps = curves_svg(compute([run], clock="steps"), records, LM)
    assert ">steps</text>" in by_steps
    assert "time (s)" not in by_steps
    assert "CPU time (s)" in curves_svg(compute([run], clock="cpu"), records, LM)


def test_legend_of_the_curves_names_only_those_that_ran(
    board: Board, records: list[Record]
) -> None:
    few = [
        one
        for one in records
        if one.header.workload == LM or one.header.submission.startswith("reference")
    ]
    picture = curves_svg(board, few, DIGITS)
    assert ">reference-jax</text>" in picture
    assert ">adamw</text>" not in picture


def test_a_crowd_of_curves_is_drawn_fainter(board: Board, records: list[Record]) -> None:
    own = [one for one in records if one.header.workload == LM]
    crowd = [
        dataclasses.replace(one, header=dataclasses.replace(one.header, study=study))
        for study in range(CROWD // len(own) + 1)
        for one in own
    ]
    assert '<g class="crowd">' in curves_svg(board, crowd, LM)
    assert '<g class="crowd">' not in curves_svg(board, own, LM)


def test_trials_that_stray_and_come_back_do_not_stretch_the_axis(
    board: Board, records: list[Record]
) -> None:
    own = [one for one in records if one.header.workload == LM]
    (key,) = {one.header.target.metric for one in own if one.header.target}

    def strayed(one: Record) -> Record:
        begin, end = one.evaluations[:2], one.evaluations[-1:]
        far = [
            dataclasses.replace(line, metrics={**line.metrics, key: 1e4})
            for line in one.evaluations[2:-1]
        ]
        return dataclasses.replace(one, evaluations=(*begin, *far, *end))

    plain, astray = own[: len(own) // 2 + 1], own[len(own) // 2 + 1 :]
    picture = curves_svg(board, [*plain, *map(strayed, astray)], LM)
    assert "10,000" not in picture
    assert picture.count('class="line') == curves_svg(board, own, LM).count('class="line')


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_metric_that_is_not_judged_is_seen_whole_whichever_way_it_goes(
    records: list[Record], sign: float
) -> None:
    own = [one for one in records if one.header.workload == LM]

    def grown(place: int, one: Record) -> Record:
        end = 70 * sign if place else sign
        norms = np.linspace(sign * (1 + place / 10), end, len(one.evaluations))
        lines = [
            dataclasses.replace(line, metrics={**line.metrics, "diagnostics/norm": value})
            for value, line in zip(norms.tolist(), one.evaluations, strict=True)
        ]
        return dataclasses.replace(one, evaluations=tuple(lines))

    grew = [grown(place, one) for place, one in enumerate(own)]
    looks = styles([one.header.submission for one in own])
    picture = side_plot("p", "diagnostics/norm", grew, "steps", looks)
    lines = re.findall(r'<path d="([^"]+)" class="line', picture)
    ups = [float(up) for line in lines for up in re.findall(r",([-\d.]+)", line)]
    assert ups
    assert min(ups) >= TOP
    assert max(ups) <= HEIGHT - BOTTOM


def test_curves_of_a_workload_without_trials_are_refused(
    board: Board, records: list[Record]
) -> None:
    with pytest.raises(RecordError, match="lm-standard-v2: no trial of it has"):
        curves_svg(board, records, "lm-standard-v2")
