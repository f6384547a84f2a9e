"""Thinned curves look the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scoring.report.thinning import kept_of_all

HEIGHTS = st.lists(st.floats(-300, 300), min_size=2, max_size=80)


def kept(
    across: Sequence[float],
    up: Sequence[float],
    *,
    tolerance: float,
    most: int,
    also: Sequence[int] = (),
) -> list[int]:
    return kept_of_all([[across]], [up], tolerance=tolerance, most=most, also=[also])[0]


@given(up=HEIGHTS, tolerance=st.floats(0.1, 20), also=st.integers(0, 79))
def test_no_point_is_missed_by_more_than_the_tolerance(
    up: list[float], tolerance: float, also: int
) -> None:
    across = list(range(len(up)))
    places = kept(across, up, tolerance=tolerance, most=10**6, also=[also])
    assert places[0] == 0 and places[-1] == len(up) - 1
    assert also in places or also >= len(up)
    drawn = np.interp(across, places, [up[place] for place in places])
    assert np.abs(drawn - up).max() <= tolerance + 1e-9


@given(up=HEIGHTS, tolerance=st.floats(0.1, 20), data=st.data())
def test_no_axis_misses_a_point_by_more_than_the_tolerance(
    up: list[float], tolerance: float, data: st.DataObject
) -> None:
    count = len(up)
    steps = st.lists(st.floats(0.01, 100), min_size=count, max_size=count)
    axes = [list(range(count)), np.cumsum(data.draw(steps)).tolist()]
    (places,) = kept_of_all(
        [[one] for one in axes], [up], tolerance=tolerance, most=10**6, also=[[]]
    )
    for across in axes:
        drawn = np.interp(across, [across[at] for at in places], [up[at] for at in places])
        assert np.abs(drawn - up).max() <= tolerance + 1e-6


@given(up=HEIGHTS, most=st.integers(2, 20))
def test_a_bound_holds(up: list[float], most: int) -> None:
    assert len(kept(list(range(len(up))), up, tolerance=0.0, most=most)) <= most


def test_a_straight_line_is_its_ends_and_gaps_stay() -> None:
    assert kept([0, 1, 2, 3, 4], [0, 1, 2, 3, 4], tolerance=0.1, most=9) == [0, 4]
    up = [0, 0, 0, math.nan, 5, 5, 5]
    assert kept(list(range(7)), up, tolerance=0.1, most=9) == [0, 2, 3, 4, 6]
    assert kept([], [], tolerance=0.1, most=9) == []
    assert kept([1], [2], tolerance=0.1, most=9) == [0]
