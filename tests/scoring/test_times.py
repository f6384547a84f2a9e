from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.ground.words import Budget, Target
from scoring.records import Evaluation, Outcome, Record
from scoring.times import (
    Readings,
    best_metric,
    crossing,
    ended_at,
    first_hit,
    hit_readings,
    time_to_result,
)
from tests.scoring.conftest import TARGET, header


def evaluations(*values: float) -> list[Evaluation]:
    return [
        Evaluation(10 * (i + 1), 1.5 * (i + 1), 1.0 * (i + 1), {TARGET.metric: value})
        for i, value in enumerate(values)
    ]


def test_the_first_evaluation_at_the_target_counts_on_every_clock() -> None:
    seen = evaluations(2.0, 1.0, 3.0, 0.5)
    met = Readings(wall=3.0, cpu=2.0, steps=20.0, paired=math.inf)
    assert time_to_result(header(), seen) == hit_readings(header(), seen) == met
    assert time_to_result(header(), seen).on("cpu") == 2.0


def test_between_two_evaluations_the_time_is_read_off_the_line() -> None:
    seen = evaluations(2.0, 1.5, 0.5, 0.1)
    assert time_to_result(header(), seen) == Readings(
        wall=3.75, cpu=2.5, steps=25.0, paired=math.inf
    )
    assert hit_readings(header(), seen).on("steps") == 30.0
    upwards = header(target=Target(TARGET.metric, "max", 1.0))
    assert time_to_result(upwards, evaluations(0.5, 0.75, 1.75)).on("steps") == 22.5


@pytest.mark.parametrize("before", [math.nan, math.inf, -math.inf, None])
def test_without_a_value_before_the_hit_itself_is_timed(before: float | None) -> None:
    seen = evaluations(2.0, 0.0 if before is None else before, 0.5)
    if before is None:
        seen[1] = Evaluation(20, 3.0, 2.0, {"train/loss": 0.0})
    assert time_to_result(header(), seen) == hit_readings(header(), seen)
    assert time_to_result(header(), seen[2:]).on("steps") == 30.0


@given(st.lists(st.floats(0, 2), min_size=1))
def test_a_crossing_lies_between_the_hit_and_the_evaluation_before(values: list[float]) -> None:
    head, seen = header(budget=Budget(10**9, 1e9)), evaluations(*values)
    time, hit = time_to_result(head, seen), hit_readings(head, seen)
    period = {"steps": 10.0, "wall": 1.5, "cpu": 1.0}
    for clock, most in period.items():
        met = hit[clock] < math.inf
        assert not met or hit[clock] - most <= time[clock] <= hit[clock]
        assert met or time[clock] == math.inf


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(width=64), st.floats(width=64))
def test_a_share_of_the_way_is_a_share(aim: float, before: float, now: float) -> None:
    assert 0.0 <= crossing(Target("m", "min", aim), before, now) <= 1.0


def test_a_goal_to_maximise_is_met_from_above() -> None:
    head = header(target=Target(TARGET.metric, "max", 2.5))
    assert first_hit(head, evaluations(2.0, 2.4, 2.5)) == 2


@pytest.mark.parametrize("value", [math.nan, -math.inf, math.inf, None])
def test_what_is_not_finite_never_meets_a_target(value: float | None) -> None:
    assert not TARGET.met_by(value)
    assert not Target(TARGET.metric, "max", 1.0).met_by(value)


def test_an_evaluation_without_the_metric_is_passed_over() -> None:
    seen = [Evaluation(5, 0.1, 0.1, {"train/loss": 0.0}), *evaluations(0.5)]
    assert first_hit(header(), seen) == 1
    assert first_hit(header(), seen[:1]) is None
    assert time_to_result(header(), seen[:1]) == Readings.all(math.inf)


@pytest.mark.parametrize(
    ("clock", "budget", "met"),
    [
        ("wall", Budget(100, 1.5), True),
        ("wall", Budget(100, 1.4), False),
        ("cpu", Budget(100, 1.4), True),
        ("steps", Budget(100, 0.1), True),
        ("steps", Budget(9, 100.0), False),
    ],
)
def test_a_target_met_beyond_the_budget_is_missed(clock: str, budget: Budget, met: bool) -> None:
    hit = first_hit(header(clock=clock, budget=budget), evaluations(0.5))
    assert (hit == 0) is met


@given(st.lists(st.floats(0, 2), min_size=1), st.floats(0, 2))
def test_a_harder_target_is_never_met_earlier(values: list[float], value: float) -> None:
    head = header(budget=Budget(10**9, 1e9))
    easy = time_to_result(head, evaluations(*values))
    hard = time_to_result(
        header(target=Target(TARGET.metric, "min", min(value, 1.0)), budget=head.budget),
        evaluations(*values),
    )
    assert hard["wall"] >= easy["wall"]
    assert hard["steps"] >= easy["steps"]


def test_best_metric_ignores_nan() -> None:
    assert best_metric(evaluations(2.0, math.nan, 1.5), TARGET) == 1.5
    assert best_metric(evaluations(2.0, 1.5), Target(TARGET.metric, "max", 0)) == 2.0
    assert math.isnan(best_metric(evaluations(math.nan), TARGET))


def test_the_last_readings_are_the_outcome_s_or_the_last_evaluation_s() -> None:
    seen, outcome = tuple(evaluations(2.0, 1.5)), Outcome("budget", 25, 4.0, 3.0, "spent")
    record = Record(Path("x"), header(), seen, (), outcome)
    assert ended_at(record) == Readings(wall=4.0, cpu=3.0, steps=25.0, paired=math.inf)
    unfinished = Record(Path("x"), header(), seen, (), None)
    assert ended_at(unfinished) == Readings(wall=3.0, cpu=2.0, steps=20.0, paired=math.inf)
    assert ended_at(Record(Path("x"), header(), (), (), None)) == Readings.all(0.0)
