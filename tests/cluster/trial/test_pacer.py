from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.trial.pacer import SETTLING_S, SHARE, TURN_S, Pacer, PairedTime

paces = st.floats(1e-4, 1.0)


@given(st.lists(st.tuples(st.floats(0.01, 1.0), paces), min_size=1), paces)
def test_a_machine_twice_as_slow_changes_no_paired_time(
    windows: list[tuple[float, float]], first: float
) -> None:
    """Whatever slows both by the same factor cancels, window by window."""
    quiet, loaded = PairedTime(), PairedTime()
    quiet.start(first)
    loaded.start(2 * first)
    wall = 0.0
    for window_s, pace_s in windows:
        wall += window_s
        quiet.close(wall, pace_s)
        loaded.close(2 * wall, 2 * pace_s)
    assert loaded.steps == pytest.approx(quiet.steps)


def test_the_reference_itself_takes_as_much_paired_time_as_steps() -> None:
    time = PairedTime()
    time.start(0.01)
    for window in range(1, 11):
        time.close(0.5 * window, 0.01)
    assert time.steps == pytest.approx(10 * 0.5 / 0.01)


def test_a_noisy_pace_moves_paired_time_by_little() -> None:
    """One turn of four is preempted for half a step; single turns would count 3 % too many."""
    time, generator = PairedTime(), np.random.default_rng(0)
    draws = np.where(generator.random(2000) < 0.25, 1.5, 1.0)
    time.start(float(draws.mean()))
    for window, pace_s in enumerate(draws, start=1):
        time.close(float(window), float(pace_s))
    assert time.steps == pytest.approx(len(draws) / draws.mean(), rel=0.01)


def test_a_trial_that_goes_on_elsewhere_forgets_the_pace_of_before() -> None:
    time = PairedTime()
    time.start(0.01)
    time.close(1.0, 0.01)
    time.start(0.04)
    time.close(5.0)
    assert time.steps == pytest.approx(1.0 / 0.01 + 4.0 / 0.04)


class FakeLearner:
    """Steps that take `step_s` of a pretended clock."""

    def __init__(self, step_s: float) -> None:
        self.step_s, self.now_s, self.steps = step_s, 0.0, 0

    def step(self, draw: Any) -> None:
        draw()
        self.steps += 1
        self.now_s += self.step_s

    def drain(self) -> dict[str, float]:
        return {}

    def synchronize(self) -> None:
        pass

    def now_ns(self) -> int:
        return round(self.now_s * 1e9)


class DrawsAtRandom:
    def next(self, policy: Any) -> dict[str, Any]:
        random.random()
        np.random.random()
        return {}

    def close(self) -> None:
        pass


HORIZON = 1000


def pacer_of(learner: FakeLearner) -> Pacer:
    return Pacer(learner, DrawsAtRandom(), HORIZON)  # type: ignore[arg-type]


@pytest.mark.parametrize("step_s", [1e-4, 2e-3, 0.02, 0.2])
def test_a_turn_measures_the_step_and_stays_short(step_s: float) -> None:
    learner = FakeLearner(step_s)
    pacer = pacer_of(learner)
    for _ in range(3):
        assert pacer.turn(learner.now_ns) == pytest.approx(step_s)
    before = learner.now_s
    pacer.turn(learner.now_ns)
    assert learner.now_s - before <= max(TURN_S + 2 * step_s, step_s) * 1.001


class SlowAtFirst(FakeLearner):
    """Its first steps take several times as long, as where memory is mapped, and one later on."""

    def step(self, draw: Any) -> None:
        usual = self.step_s
        self.step_s *= 4 if self.steps < 3 or self.steps == 12 else 1
        super().step(draw)
        self.step_s = usual


@pytest.mark.parametrize("step_s", [1e-3, 9e-3, 0.018])
def test_what_is_slow_at_first_is_not_in_the_first_pace(step_s: float) -> None:
    learner, time = SlowAtFirst(step_s), PairedTime()
    pacer_of(learner).begin(time, now_ns=learner.now_ns)
    assert time.pace_s == pytest.approx(step_s)
    assert learner.now_s > SETTLING_S


def test_where_a_step_is_long_the_first_pace_is_one_step() -> None:
    learner, time = FakeLearner(3.0), PairedTime()
    pacer_of(learner).begin(time, now_ns=learner.now_ns)
    assert (time.pace_s, learner.steps) == (3.0, 1)


def test_a_turn_leaves_the_global_generators_alone() -> None:
    learner = FakeLearner(0.01)
    pacer = pacer_of(learner)
    random.seed(5)
    np.random.seed(5)
    expected = random.random(), np.random.random()
    random.seed(5)
    np.random.seed(5)
    pacer.turn(learner.now_ns)
    assert (random.random(), np.random.random()) == expected


def turned(step_s: float, trained_s: float, before_s: float) -> tuple[float, int, PairedTime]:
    """Seconds and number of the turns in a trial that goes on elsewhere after its first second."""
    learner, time = FakeLearner(step_s), PairedTime()
    pacer, turns, wall_s = pacer_of(learner), 0, 1.0
    time.start(1.0)
    time.close(wall_s)
    pacer.begin(time, before_s, learner.now_ns)
    began = learner.now_s
    while wall_s < 1.0 + trained_s:
        wall_s += step_s
        if pacer.due(time, wall_s):
            assert pacer.close_window(time, wall_s, learner.now_ns) > 0
            turns += 1
    assert pacer.close_window(time, wall_s, learner.now_ns) == 0
    return learner.now_s - began, turns, time


@pytest.mark.parametrize("step_s", [1e-3, 0.02, 0.2, 2.0])
@pytest.mark.parametrize("before_s", [0.0, 10.0])
def test_turns_take_a_small_share_however_long_a_step_is(step_s: float, before_s: float) -> None:
    turns_s, turns, time = turned(step_s, 200.0, before_s)
    assert turns > 0
    assert 0.5 * SHARE * 200 < turns_s <= SHARE * (200 + 2 * step_s + before_s)
    assert time.steps == pytest.approx(1.0 + 200 / step_s, rel=0.02)


def test_a_short_trial_has_turns_for_the_time_that_it_took_to_make_ready() -> None:
    """Two seconds of training: its own share would pay for one turn."""
    assert turned(4e-3, 2.0, before_s=0.0)[1] == 1
    assert turned(4e-3, 2.0, before_s=6.0)[1] == 6
