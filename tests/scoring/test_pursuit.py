from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.consistency import Consistency, first_hit, pursuit_of
from scoring.ground.pursuit import Pursuit
from scoring.ground.words import Budget, Held, Target
from scoring.lines import decode, encode
from scoring.records import Evaluation, Header, Outcome
from scoring.times import Readings, time_to_result
from tests.scoring.conftest import TARGET, header

HELD = Target(TARGET.metric, "min", 1.0, Held(2, 0.5))


def told(target: Target, *values: float | None) -> Pursuit:
    pursuit = Pursuit()
    for value in values:
        pursuit.take(target, value, on_time=True)
    return pursuit


def racing(target: Target, steps: int = 1000) -> Header:
    return header(target=target, budget=Budget(steps, 1000.0), clock="steps")


def evaluations(*values: float) -> list[Evaluation]:
    return [
        Evaluation(10 * n, 1.0 * n, 1.0 * n, {TARGET.metric: value})
        for n, value in enumerate(values, start=1)
    ]


def test_without_a_word_on_holding_a_target_is_reached_at_once() -> None:
    assert told(TARGET, 2.0, 1.0).reached(TARGET)
    assert not told(TARGET, 2.0, 1.5, None).reached(TARGET)


def test_a_target_is_held_for_as_long_as_stated_within_the_slack() -> None:
    assert told(HELD, 2.0, 0.9, 1.5).is_holding(HELD)
    done = told(HELD, 2.0, 0.9, 1.5, 1.4)
    assert (done.reached(HELD), done.hit, done.held) == (True, 1, 2)
    assert told(HELD, 2.0, 0.9, 1.5, 1.4, 9.0).reached(HELD), "what comes after is nobody's"


@pytest.mark.parametrize("value", [1.51, math.nan, math.inf, None])
def test_a_target_once_lost_stays_lost(value: float | None) -> None:
    lost = told(HELD, 0.9, 0.9, value, 0.1, 0.1, 0.1)
    assert lost.lost and not lost.reached(HELD) and not lost.is_holding(HELD)


def test_a_goal_to_maximise_is_held_from_above() -> None:
    held = Target("m", "max", 0.9, Held(1, 0.1))
    assert told(held, 0.9, 0.8).reached(held)
    assert told(held, 0.9, 0.79).lost


def test_the_time_is_that_of_the_hit_and_holding_may_outlast_the_budget() -> None:
    head, seen = racing(HELD, steps=20), evaluations(3.0, 0.0, 1.2, 1.2)
    assert first_hit(head, seen) == 1
    assert time_to_result(head, seen).on("steps") == pytest.approx(16.6667, abs=1e-3)
    assert time_to_result(head, seen[:3]) == Readings.all(math.inf), "not held yet"
    late = evaluations(3.0, 3.0, 0.0, 1.2, 1.2)
    assert first_hit(head, late) is None, "the hit itself must lie within the budget"


values = st.lists(st.floats(0, 3), min_size=1, max_size=12)


@given(values, st.integers(1, 5), st.floats(0, 1))
def test_a_held_target_is_the_first_hit_with_all_that_follow(
    seen: list[float], count: int, slack: float
) -> None:
    target = Target(TARGET.metric, "min", 1.0, Held(count, slack))
    hit = next((n for n, value in enumerate(seen) if value <= 1.0), None)
    after = [] if hit is None else seen[hit + 1 : hit + 1 + count]
    held = len(after) == count and all(value <= 1.0 + slack for value in after)
    assert first_hit(racing(target), evaluations(*seen)) == (hit if held else None)


@given(values, st.integers(1, 5))
def test_what_must_hold_longer_is_reached_no_sooner(seen: list[float], count: int) -> None:
    short, long = (Target(TARGET.metric, "min", 1.0, Held(n, 0.2)) for n in (count, count + 1))
    shots = evaluations(*seen)
    assert (
        time_to_result(racing(short), shots)["steps"]
        <= time_to_result(racing(long), shots)["steps"]
    )


def check(head: Header, seen: list[Evaluation], end: str) -> None:
    consistency = Consistency()
    for line in [head, *seen]:
        consistency.take(line)
    last = seen[-1]
    consistency.take(Outcome(end, last.steps, last.wall_s, last.cpu_s, ""))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "end", "why"),
    [
        ((2.0, 0.9, 1.2, 1.2), "reached", None),
        ((2.0, 0.9, 1.2), "reached", "was not held"),
        ((2.0, 0.9, 1.7), "reached", "was not held"),
        ((2.0, 0.9, 1.7), "lost", None),
        ((2.0, 0.9, 1.2), "lost", None),
        ((2.0, 1.2), "lost", "no evaluation met"),
        ((2.0, 0.9, 1.2, 1.2), "lost", "was held long enough"),
        ((2.0, 0.9, 1.2), "budget", "an evaluation met"),
        ((2.0, 0.9, 1.2), "pruned", "an evaluation met"),
        ((2.0, 0.9, math.nan), "diverged", None),
        ((2.0, 1.1), "pruned", None),
    ],
)
def test_an_end_that_contradicts_the_holding_is_refused(
    seen: tuple[float, ...], end: str, why: str | None
) -> None:
    head = racing(HELD, steps=20)
    if why is None:
        check(head, evaluations(*seen), end)
    else:
        with pytest.raises(ValueError, match=why):
            check(head, evaluations(*seen), end)


def test_beyond_the_budget_only_a_target_that_was_met_may_be_followed() -> None:
    with pytest.raises(ValueError, match="beyond the budget"):
        check(racing(HELD, steps=20), evaluations(2.0, 2.0, 0.9), "budget")


def test_the_holding_stands_in_the_header_and_only_there_where_there_is_one() -> None:
    assert decode(encode(header(target=HELD))) == header(target=HELD)
    assert "held" not in encode(header())
    for bad in ('"evaluations": -1', '"evaluations": 1.5', '"slack": -0.1'):
        key = bad.split(":")[0]
        text = encode(header(target=HELD))
        old = f"{key}: {'2' if 'eval' in key else '0.5'}"
        assert old in text
        with pytest.raises(ValueError, match=r"held|evaluations"):
            decode(text.replace(old, bad))


@given(values, st.integers(0, 5), st.floats(0, 1), st.integers(1, 12))
def test_all_at_once_is_one_after_the_other(
    seen: list[float], count: int, slack: float, budget: int
) -> None:
    target = Target(TARGET.metric, "min", 1.0, Held(count, slack) if count else None)
    head, shots, one_by_one = racing(target, steps=10 * budget), evaluations(*seen), Pursuit()
    for shot in shots:
        one_by_one.take(target, shot.metrics[TARGET.metric], on_time=shot.steps <= 10 * budget)
    assert pursuit_of(head, shots) == one_by_one
