from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.report.axes import log_ticks
from scoring.report.sweeps import sensitivity_svg, sweep_svg
from scoring.sensitivity import Sweep

GRID = (1e-3, 1e-2, 1e-1, 1.0)
FINITE = st.floats(-100, 100)


def swept(*finals: tuple[float, ...], initial: float = 5.0, **changes: object) -> Sweep:
    given = {"workload": "lm", "size": 1000, "metric": "loss", "goal": "min", "grid": GRID}
    rows = tuple(finals)
    return Sweep(**(given | changes), finals=rows, initial=(initial,) * len(rows))  # type: ignore[arg-type]


def test_the_definition_by_hand() -> None:
    """Losses 4, 2, 3 and one that diverged, 5 before training: 2 + 0 + 1 + 3 over 4."""
    found = swept((4.0, 2.0, 3.0, math.nan))
    assert found.sensitivity == pytest.approx(6 / 4)
    assert (found.best, found.diverged(3), found.diverged(0)) == (1, 1, 0)


def test_what_is_worse_than_no_training_counts_as_none() -> None:
    assert swept((2.0, 9.0, 1e30, 5.0)).sensitivity == swept((2.0, 5.0, 5.0, 5.0)).sensitivity


def test_accuracies_are_the_other_way_round() -> None:
    up = swept((0.2, 0.9, 0.05, math.nan), initial=0.1, goal="max")
    assert up.sensitivity == pytest.approx((0.7 + 0.0 + 0.8 + 0.8) / 4)
    assert up.best == 1


def test_seeds_are_told_apart() -> None:
    found = swept((4.0, 2.0, 4.0, 4.0), (3.0, 3.0, 3.0, 3.0))
    assert found.sensitivities == [1.5, 0.0]
    assert found.sensitivity == 0.75
    assert found.curve == [3.5, 2.5, 3.5, 3.5]


@given(st.lists(FINITE, min_size=4, max_size=4), FINITE, FINITE)
def test_no_unit_and_no_origin_matters(row: list[float], initial: float, shift: float) -> None:
    plain = swept(tuple(row), initial=initial)
    moved = swept(tuple(value + shift for value in row), initial=initial + shift)
    mirrored = swept(tuple(-value for value in row), initial=-initial, goal="max")
    assert plain.sensitivity >= 0
    assert moved.sensitivity == pytest.approx(plain.sensitivity, abs=1e-9)
    assert mirrored.sensitivity == pytest.approx(plain.sensitivity)
    assert plain.sensitivity <= max(0.0, initial - min(row)) + 1e-9


def test_pictures_are_drawings_that_say_what_they_show() -> None:
    sweeps = [
        swept((4.0, 2.0, 3.0, math.nan), (4.1, 2.1, 2.9, 4.0), workload="lm-toy-v2"),
        swept((4.0, 1.8, 1.9, 2.0), (4.2, 1.7, 1.9, 2.1), workload="lm-toy-v2+<wide>", size=9000),
    ]
    for text in (sweep_svg(sweeps, "lr", log=True), sensitivity_svg(sweeps, "lr")):
        root = ET.fromstring(text)
        told = next(child.text for child in root if child.tag.endswith("desc"))
        assert told is not None and "lm-toy-v2+<wide>" in told
    drawn = sweep_svg(sweeps, "lr", log=True)
    assert drawn.count("M-4,-4L4,4") == 1, "one value of one workload diverged"
    assert "0.01" in drawn and "final loss" in drawn
    flat = [swept((1.0, 1.0, 1.0, 1.0), initial=1.0)]
    ET.fromstring(sweep_svg(flat, "lr", log=False))
    ET.fromstring(sensitivity_svg(flat, "lr"))


@pytest.mark.parametrize(
    ("low", "high", "values"),
    [
        (-3.0, 0.0, [1e-3, 1e-2, 1e-1, 1.0]),
        (math.log10(2e3), math.log10(3e4), [2e3, 5e3, 1e4, 2e4]),
        (-12.0, 6.0, [1e-12, 1e-9, 1e-6, 1e-3, 1.0, 1e3, 1e6]),
    ],
)
def test_logarithmic_axes_bear_round_numbers(low: float, high: float, values: list[float]) -> None:
    assert [10**mark for mark in log_ticks(low, high)] == pytest.approx(values)
