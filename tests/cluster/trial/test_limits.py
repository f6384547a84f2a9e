"""Trials that may stop by what is known of others."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import pytest

import cluster
from cluster.spec import Finished, Stop, TrialSpec, Update
from cluster.trial import bounds
from scoring.ground.words import Budget
from scoring.records import Record, read_record, record_attempts

from ..conftest import Make

pytestmark = [pytest.mark.network, pytest.mark.filterwarnings("ignore::ResourceWarning")]
Executor = Literal["ray", "in_process"]


def record_of(finished: Finished) -> Record:
    return read_record(record_attempts(finished.spec.run, finished.spec.key)[-1])


def steps_trial(make: Make, trial: int) -> TrialSpec:
    return make("adamw", clock="steps", target=0.99, trial=trial, budget=Budget(1000, 100.0))


@pytest.mark.parametrize("executor", ["in_process", pytest.param("ray", marks=pytest.mark.slow)])
def test_each_trial_is_given_what_is_known_when_it_starts(make: Make, executor: Executor) -> None:
    specs = [steps_trial(make, trial) for trial in range(3)]
    limits = {0: None, 1: Stop(350.0, "slower than trial 0"), 2: Stop(0.0, "no hope")}
    ended: list[int] = []
    known: dict[int, int] = {}

    def ask(spec: TrialSpec) -> Stop | None:
        known[spec.trial] = len(ended)
        return limits[spec.trial]

    outcomes = {}
    for finished in cluster.run_all(specs, executor=executor, at_once=1, limits=ask):
        ended.append(finished.spec.trial)
        outcomes[finished.spec.trial] = record_of(finished).outcome
    assert known == {0: 0, 1: 1, 2: 2}
    assert [outcomes[trial].end for trial in range(3)] == ["budget", "pruned", "pruned"]
    assert outcomes[1].steps == 400, "the first evaluation at the limit or beyond, of every 200th"
    assert outcomes[1].reason == "slower than trial 0"
    assert (outcomes[2].steps, outcomes[2].reason) == (0, "not started:  no hope")
    again = cluster.run_all(specs, executor=executor, limits=lambda spec: None)
    assert [one.outcome.end for one in again] == ["budget", "pruned", "pruned"]


def test_a_target_met_at_the_evaluation_after_the_limit_is_met(make: Make) -> None:
    """By interpolation it may have been met within the limit."""
    spec = replace(steps_trial(make, 0), target=replace(steps_trial(make, 0).target, value=0.1))
    (done,) = cluster.run_all([spec], executor="in_process", limits=lambda _: Stop(700.0, ""))
    assert (done.outcome.end, done.outcome.steps) == ("reached", 800)


def test_a_trial_that_has_begun_is_not_called_unbegun(make: Make) -> None:
    spec = steps_trial(make, 0)
    path = spec.record(0)
    path.parent.mkdir(parents=True)
    path.write_text("")  # an attempt that was cut off at once
    (done,) = cluster.run_all([spec], executor="in_process", limits=lambda _: Stop(0.0, "late"))
    assert (done.outcome.end, done.outcome.steps) == ("pruned", 200)


def test_a_bound_that_comes_while_a_trial_trains_ends_it_at_its_next_evaluation(make: Make) -> None:
    spec = steps_trial(make, 0)

    def watch(news: Update) -> None:
        if news.phase == "training" and news.steps == 400:
            bounds.publish(spec, Stop(250.0, "another was faster"))

    (done,) = cluster.run_all([spec], executor="in_process", watch=watch)
    assert (done.outcome.end, done.outcome.steps) == ("pruned", 600)
    assert done.outcome.reason == "another was faster"


@pytest.mark.parametrize("optimism", [1e-9, 1e9])
def test_a_trial_may_be_given_up_by_its_curve(make: Make, optimism: float) -> None:
    """When there are enough evaluations for one; never where optimism has no bounds."""
    spec = replace(steps_trial(make, 0), budget=Budget(4000, 100.0))
    stop = Stop(math.inf, "", optimism)
    (done,) = cluster.run_all([spec], executor="in_process", limits=lambda _: stop)
    if optimism > 1:
        assert (done.outcome.end, done.outcome.steps) == ("budget", 4000)
    else:
        assert (done.outcome.end, done.outcome.reason) == (
            "pruned",
            "forecast: its curve would not meet the target in 4000 steps",
        )
        assert 1600 <= done.outcome.steps < 4000


def test_a_bound_on_the_way_keeps_the_optimism(make: Make) -> None:
    spec = steps_trial(make, 0)
    spec.record(0).parent.mkdir(parents=True)
    for stop in (Stop(2.0, "late", 4.0), Stop(1.0, "later")):
        bounds.publish(spec, stop)
        assert bounds.latest(spec) == stop


def test_a_bound_that_an_earlier_driver_left_binds_nobody(make: Make) -> None:
    """As of one that was stopped: the run goes on, and is not to be pruned any more."""
    spec = replace(steps_trial(make, 0), budget=Budget(400, 100.0))
    spec.record(0).parent.mkdir(parents=True)
    bounds.publish(spec, Stop(100.0, "another was faster"))
    (done,) = cluster.run_all([spec], executor="in_process")
    assert done.outcome.end == "budget"
    assert not bounds.path_of(spec).exists()


ENOUGH = """
from submissions.contract import TrainingComplete

def submission(params):
    return Enough()

class Enough:
    def init(self, params):
        return 0

    def update(self, params, state, batch, problem):
        if state == 237:
            raise TrainingComplete("no more is to be had")
        problem.loss(params, batch)
        return state + 1
"""


def test_a_submission_may_end_its_training_at_any_step_and_its_record_can_be(make: Make) -> None:
    (finished,) = cluster.run_all([make("enough", ENOUGH, target=0.99)], executor="in_process")
    record = record_of(finished)
    assert finished.outcome.end == "budget"
    assert finished.outcome.reason.endswith("at step 237: no more is to be had")
    assert [line.steps for line in record.evaluations] == [200, 237]
