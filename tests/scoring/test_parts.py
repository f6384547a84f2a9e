"""The picture of numbered parts: what a lifelong learner knows of each task, over time."""

from __future__ import annotations

import re
import xml.dom.minidom
from collections.abc import Sequence
from pathlib import Path

from scoring.ground.words import Target
from scoring.records import Evaluation, Record
from scoring.report.palette import styles
from scoring.report.parts import STRIPS, parts_of, parts_plot
from tests.scoring.conftest import header

NAMES = [f"task{number:02}/accuracy" for number in range(4)]
LOOKS = styles([f"method{number}" for number in range(10)])


def learner(name: str, rows: Sequence[Sequence[float]]) -> Record:
    seen = tuple(
        Evaluation(10 * place, float(place), float(place), dict(zip(NAMES, row, strict=True)))
        for place, row in enumerate(rows, 1)
    )
    target = Target("validation/retained", "max", 0.9)
    return Record(Path(), header(submission=name, target=target), seen, (), None)


def rects(drawn: str) -> list[tuple[float, float, float, float]]:
    """Left, top, width and opacity of what is shaded."""
    found = re.findall(
        r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="8" class="fill" '
        r'fill-opacity="([\d.]+)"',
        drawn,
    )
    return [tuple(map(float, one)) for one in found]  # type: ignore[misc]


def test_numbered_metrics_are_families() -> None:
    names = [
        *reversed(NAMES),
        "validation/accuracy",
        "stream/learnt",
        "game1/reward",
        "game0/reward",
    ]
    assert parts_of(names) == {"accuracy by task": NAMES}, "two games have plots of their own"


def test_the_higher_the_darker_and_equals_are_one_rectangle() -> None:
    learnt = [
        (0.0, 0.0, 0.0, 0.0),
        (1.0, 0.0, 0.0, 0.0),
        (1.0, 0.5, 0.0, 0.0),
        (1.0, 1.0, 0.0, 0.0),
    ]
    drawn = parts_plot("p", "accuracy by task", NAMES, [learner("method0", learnt)], "wall", LOOKS)
    xml.dom.minidom.parseString(drawn.encode())
    found = rects(drawn)
    tops = sorted({top for _, top, _, _ in found})
    assert len(tops) == 2, "what is never known is left white"
    assert [opacity for _, top, _, opacity in found if top == tops[0]] == [1.0]
    assert [opacity for _, top, _, opacity in found if top == tops[1]] == [0.5, 1.0]
    (first,) = [one for one in found if one[1] == tops[0]]
    second = [one for one in found if one[1] == tops[1]]
    assert first[0] + first[2] == second[-1][0] + second[-1][2], "both end with the trial"
    assert first[0] < second[0][0]


def test_many_evaluations_and_many_submissions_are_few_marks() -> None:
    rows = [tuple((place % 7) / 7 for _ in NAMES) for place in range(5000)]
    records = [learner(f"method{number}", rows) for number in range(10)]
    drawn = parts_plot("p", "accuracy by task", NAMES, records, "steps", LOOKS)
    assert drawn.count("method") == STRIPS
    assert len(rects(drawn)) <= STRIPS * len(NAMES) * 120


def test_values_that_are_none_are_white() -> None:
    nan = float("nan")
    records = [learner("method0", [(nan,) * 4, (nan,) * 4]), learner("method1", [])]
    drawn = parts_plot("p", "accuracy by task", NAMES, records, "wall", LOOKS)
    assert rects(drawn) == []
    xml.dom.minidom.parseString(drawn.encode())
