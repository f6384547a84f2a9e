"""The bootstrap over studies: what holds of it whatever the times are."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scoring.bootstrap import Resampler, interval

DRAWS = 200
TIMES = st.dictionaries(
    st.integers(0, 50), st.floats(0.1, 1e6) | st.just(math.inf), min_size=1, max_size=9
)
FINITE = st.dictionaries(st.integers(0, 50), st.floats(0.1, 1e6), min_size=1, max_size=9)


@given(times=TIMES)
def test_first_stands_the_median_and_no_draw_leaves_the_range(times: dict[int, float]) -> None:
    medians = Resampler(DRAWS).medians(times)
    assert medians.shape == (DRAWS + 1,)
    assert medians[0] == np.median(list(times.values()))
    assert medians.min() >= min(times.values())
    assert medians.max() <= max(times.values())


@given(times=TIMES, others=FINITE)
def test_draws_hang_on_the_studies_and_not_on_what_was_asked_before(
    times: dict[int, float], others: dict[int, float]
) -> None:
    asked = Resampler(DRAWS)
    asked.medians(others)
    turned = dict(reversed(times.items()))
    assert np.array_equal(asked.medians(turned), Resampler(DRAWS).medians(times))


@given(times=FINITE, factor=st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_submissions_of_the_same_studies_are_drawn_together(
    times: dict[int, float], factor: float
) -> None:
    resampler = Resampler(DRAWS)
    slower = {study: factor * time for study, time in times.items()}
    assert np.array_equal(resampler.medians(slower), factor * resampler.medians(times))


@given(times=FINITE, factor=st.sampled_from([0.5, 2.0, 4.0]))
def test_times_divided_by_one_divisor_are_medians_divided(
    times: dict[int, float], factor: float
) -> None:
    resampler = Resampler(DRAWS)
    divisors = {study: np.full(DRAWS + 1, factor) for study in times}
    assert np.array_equal(resampler.medians(times, divisors), resampler.medians(times) / factor)


@given(times=FINITE, tries=st.floats(1, 50), more=st.floats(1, 4))
def test_more_tries_are_no_slower(times: dict[int, float], tries: float, more: float) -> None:
    resampler = Resampler(DRAWS)
    few = resampler.medians_of_fastest(times, tries)
    many = resampler.medians_of_fastest(times, tries * more)
    assert (many <= few * (1 + 1e-9)).all()
    assert (many >= min(times.values()) * (1 - 1e-9)).all()


@given(st.lists(st.floats(-2, 2), min_size=2, max_size=50))
def test_an_interval_lies_within_its_draws(draws: list[float]) -> None:
    low, high = interval(draws)
    assert min(draws) <= low <= high <= max(draws)
