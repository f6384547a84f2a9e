"""Numbers beside axes, and axes that no value can break."""

from __future__ import annotations

import itertools
import math
import re
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.report.axes import Scale, Unit, robust_range, short, tick_texts, ticks
from scoring.report.names import PHONE, room
from scoring.report.plots import x_axis, y_axis


@pytest.mark.parametrize(
    ("low", "high"), [(0.99991, 0.99996), (123456.1, 123456.8), (-1e-5, 3e-5), (2.2, 7.3), (0, 8e6)]
)
def test_no_two_numbers_beside_an_axis_are_one(low: float, high: float) -> None:
    marks = ticks(low, high)
    texts = re.findall(r">([^<]+)</text>", y_axis(Scale(low, high, 300, 0), "accuracy"))[:-1]
    assert len(set(texts)) == len(marks) > 2
    told = [float(text.replace(",", "")) for text in texts]
    assert told == pytest.approx(marks, abs=(high - low) / 1e4)


@given(low=st.floats(-1e6, 1e6), share=st.floats(1e-6, 10.0))
def test_numbers_beside_an_axis_are_its_marks(low: float, share: float) -> None:
    span = share * max(1.0, abs(low))
    marks = ticks(low, low + span)
    told = [float(text.replace(",", "")) for text in tick_texts(marks)]
    assert told == pytest.approx(marks, abs=span / 100)


@given(high=st.floats(1e-3, 1e6), end=st.floats(180, 560))
def test_numbers_beneath_an_axis_do_not_touch(high: float, end: float) -> None:
    drawn = str(x_axis(Scale(0.0, high, 60, end), Unit("steps", 1.0)))
    marks = re.findall(r'<text x="([\d.]+)"[^>]*>([\d.,e-]+)</text>', drawn)
    assert len(marks) >= 2
    for (left, one), (right, other) in itertools.pairwise(marks):
        taken = (room([one], PHONE) + room([other], PHONE)) / 2
        assert float(right) - float(left) >= taken or len(marks) <= 3, marks


def test_large_numbers_have_as_many_digits_as_are_asked_for() -> None:
    assert [short(12345678.0, digits) for digits in (3, 8)] == ["1.23e7", "1.2345678e7"]
    assert [short(1234.56, digits) for digits in (3, 4, 5)] == ["1,235", "1,235", "1,234.6"]


def test_the_largest_numbers_have_an_axis() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        low, high = robust_range([-1.7e308, 1.7e308], [2.0])
        scale = Scale(low, high, 300, 0)
        assert all(map(math.isfinite, [*scale.places([1.7e308]), *ticks(low, high)]))
        y_axis(scale, "loss")
        assert Scale(0.0, 0.1, 0, 1).places([1.7e308]).tolist() == [5.0]
