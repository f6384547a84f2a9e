"""Trials are given up by their curves only where the curve says so."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.forecast import EARLIEST, FEWEST, is_hopeless, shortfall
from scoring.ground.words import Goal, Target

LIMIT = 1000.0
LOSS = Target("validation/loss", "min", 2.0)


Curve = tuple[list[float], list[float]]


def annealed(until: float, level: float, factor: float, exponent: float, gain: float) -> Curve:
    """The annealing law, every hundredth of the limit; at it, at `level + factor - gain`."""
    times = [place * LIMIT / 100 for place in range(1, round(100 * until) + 1)]
    values = []
    for time in times:
        angle = math.pi * time / LIMIT
        summed = time / LIMIT + math.sin(angle) / math.pi
        values.append(level + factor * summed**-exponent - gain * (1 - math.cos(angle)) / 2)
    return times, values


def power_law(until: float, level: float, factor: float, exponent: float) -> Curve:
    """Evaluations every hundredth of the limit; at it, the curve is at `level + factor`."""
    times = [place * LIMIT / 100 for place in range(1, round(100 * until) + 1)]
    return times, [level + factor * (time / LIMIT) ** -exponent for time in times]


@pytest.mark.parametrize("exponent", [0.1, 0.35, 1.0, 2.0])
@pytest.mark.parametrize("gain", [0.0, 0.3])
def test_the_law_is_forecast_exactly(exponent: float, gain: float) -> None:
    times, values = annealed(0.4, 1.5, 0.4, exponent, gain)  # 1.9, or 1.6 at the limit
    for off, falls_short in ((0.01, False), (-0.01, True)):
        target = Target("validation/loss", "min", 1.9 - gain + off)
        assert (shortfall(times, values, target, LIMIT) > 1.0) == falls_short
        assert is_hopeless(times, values, target, LIMIT, 1.0) == falls_short


def test_a_curve_that_only_annealing_brings_down_is_not_given_up_for_being_flat() -> None:
    times, values = annealed(0.5, 2.5, 0.0, 1.0, 0.8)
    assert values[-1] > 2.0
    assert not is_hopeless(times, values, LOSS, LIMIT, 1.0)


def test_what_is_above_or_below_is_the_goal_s() -> None:
    times, values = power_law(0.4, 1.5, 0.4, 0.5)
    mirrored = [-value for value in values]
    for aim in (1.95, 1.8, 1.0):
        below = shortfall(times, values, Target("m", "min", aim), LIMIT)
        assert shortfall(times, mirrored, Target("m", "max", -aim), LIMIT) == below


def test_a_curve_that_lies_still_far_from_the_target_is_given_up() -> None:
    rng = np.random.default_rng(0)
    times, _ = power_law(0.5, 0.0, 0.0, 1.0)
    values = 3.0 + 0.01 * rng.standard_normal(len(times))
    assert is_hopeless(times, values, LOSS, LIMIT)
    assert not is_hopeless(times, values, Target("m", "min", 2.99), LIMIT), "scatter is hope"


def test_nothing_is_said_too_early_of_too_little_or_without_a_limit() -> None:
    times, values = power_law(0.5, 5.0, 0.1, 1.0)
    assert is_hopeless(times, values, LOSS, LIMIT)
    early = round(EARLIEST * 100) - 1
    assert not is_hopeless(times[:early], values[:early], LOSS, LIMIT)
    step = len(times) // (FEWEST - 1)
    assert not is_hopeless(times[::step][: FEWEST - 1], values[::step][: FEWEST - 1], LOSS, LIMIT)
    assert not is_hopeless(times, values, LOSS, math.inf)
    assert not is_hopeless(times, values, Target("m", "min", None), LIMIT)
    assert not is_hopeless([], [], LOSS, LIMIT)


def test_values_that_are_none_are_passed_over() -> None:
    times, values = power_law(0.5, 5.0, 0.1, 1.0)
    values[3] = math.nan
    values[9] = math.inf
    assert is_hopeless(times, values, LOSS, LIMIT)
    assert not is_hopeless(times, [math.nan] * len(times), LOSS, LIMIT)


@given(
    until=st.floats(EARLIEST, 1.0),
    level=st.floats(-5.0, 5.0),
    factor=st.floats(0.0, 5.0),
    exponent=st.floats(0.05, 3.0),
    noise=st.floats(0.0, 0.5),
    seed=st.integers(0, 99),
    goal=st.sampled_from(["min", "max"]),
    optimism=st.floats(1.0, 50.0),
)
def test_nobody_is_given_up_whose_forecast_meets_the_target(
    until: float, level: float, factor: float, exponent: float,
    noise: float, seed: int, goal: Goal, optimism: float,
) -> None:  # fmt: skip
    from scoring.forecast import _fit

    times, values = power_law(until, level, factor, exponent)
    rng = np.random.default_rng(seed)
    series = np.array(values) + noise * rng.standard_normal(len(values))
    start = len(series) // 4
    _, then, _ = _fit(np.array(times[start:]) / LIMIT, series[start:])
    sign = 1.0 if goal == "min" else -1.0
    for aim in (then, then + 0.1):
        target = Target("m", goal, sign * aim)
        assert not is_hopeless(times, sign * series, target, LIMIT, optimism * (1 + 1e-9))


@given(st.floats(1.0, 50.0), st.floats(1.0, 50.0), st.floats(0.1, 3.0), st.floats(0.0, 1.0))
def test_more_optimism_gives_up_no_more(
    one: float, other: float, exponent: float, factor: float
) -> None:
    times, values = power_law(0.5, 2.5, factor, exponent)
    low, high = sorted((one, other))
    if is_hopeless(times, values, LOSS, LIMIT, high):
        assert is_hopeless(times, values, LOSS, LIMIT, low)
