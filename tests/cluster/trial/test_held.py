"""Targets that must hold: what a trial makes of them, and that it goes on with them when killed."""

from __future__ import annotations

from dataclasses import replace

import pytest

import cluster
import workloads
from cluster import Executor
from cluster.spec import HOLDING_FACTOR, Stop, TrialSpec, Update
from cluster.trial.course import Course
from cluster.trial.ending import is_holding, most_steps, why_over
from cluster.trial.loop import run_trial
from scoring.ground.words import Budget, Held, Target
from scoring.records import Outcome, Record, read_record, record_attempts
from scoring.times import time_to_result

from ..conftest import METRIC, Make
from .test_trial import FRAMEWORKS, metrics

pytestmark = pytest.mark.network
FORGETS = (
    "import torch\n"
    "def submission(params):\n"
    "    optimizer = torch.optim.SGD(params, lr=0.1)\n"
    "    return optimizer, torch.optim.lr_scheduler.MultiStepLR(optimizer, [900], gamma=0.0)\n"
)


def held_for(evaluations: int, slack: float = 0.05, value: float = 0.3) -> Target:
    return Target(METRIC, "max", value, Held(evaluations, slack))


def held(make: Make, submission: str, target: Target, **changes: object) -> TrialSpec:
    return replace(make(submission, **changes), target=target)


def race(spec: TrialSpec, executor: Executor = "in_process") -> tuple[Outcome, Record]:
    (done,) = cluster.run_all([spec], executor=executor)
    return done.outcome, read_record(record_attempts(spec.run, spec.key)[-1])


@pytest.mark.parametrize("executor", ["in_process", pytest.param("ray", marks=pytest.mark.slow)])
@pytest.mark.parametrize("submission", FRAMEWORKS)
def test_a_target_is_held_beyond_the_budget_and_timed_at_its_hit(
    make: Make, submission: str, executor: Executor
) -> None:
    spec = held(make, submission, held_for(2), budget=Budget(800, 100.0), clock="steps")
    outcome, record = race(spec, executor)
    assert (outcome.end, outcome.steps) == ("reached", 1200), outcome.reason
    assert "held it for 2 evaluations" in outcome.reason
    assert time_to_result(record.header, record.evaluations).on("steps") == 800.0


def test_a_target_that_is_lost_is_a_miss_told_as_such(make: Make) -> None:
    spec = held(make, "forgets", held_for(30, 0.0), text=FORGETS, budget=Budget(1200, 100.0))
    outcome, record = race(spec)
    assert outcome.end == "lost"
    assert f"{METRIC} met 0.3 at step 800 and was 0." in outcome.reason
    assert outcome.steps < 800 + 30 * 200
    assert time_to_result(record.header, record.evaluations).on("wall") == float("inf")


def test_what_may_stop_and_was_met_is_held_all_the_same(make: Make) -> None:
    spec = held(make, "adamw", held_for(1), budget=Budget(1000, 100.0), clock="steps")
    (done,) = cluster.run_all([spec], executor="in_process", limits=lambda _: Stop(700.0, "late"))
    assert (done.outcome.end, done.outcome.steps) == ("reached", 1000)


@pytest.mark.parametrize("submission", FRAMEWORKS)
def test_killed_while_it_holds_it_ends_as_one_left_alone(make: Make, submission: str) -> None:
    spec = held(make, submission, held_for(3), budget=Budget(800, 100.0), clock="steps")
    whole = race(replace(spec, study=1))[1]
    news = run_trial(spec)
    for update in news:
        if isinstance(update, Update) and update.steps >= 1000:
            break
    news.close()
    outcome, record = race(spec)
    assert len(record_attempts(spec.run, spec.key)) == 2
    assert (outcome.end, outcome.steps) == ("reached", 1400)
    assert metrics(record) == metrics(whole)


def course_at(steps: int, met_at: int | None, **pursuit: object) -> Course:
    course = Course(steps=steps, judged=0.5, met_at=met_at)
    for name, value in pursuit.items():
        setattr(course.pursuit, name, value)
    return course


def test_the_budget_ends_before_a_hit_and_the_holding_later(make: Make) -> None:
    workload = workloads.get(make().workload)
    period = workload.settings.evaluation_period
    spec = held(make, "adamw", held_for(3), budget=Budget(1000, 100.0))
    unmet = course_at(1000, None)
    assert not is_holding(spec, unmet) and most_steps(spec, unmet, period) == 1000
    assert (why_over(spec, unmet, workload, "") or ("",))[0] == "budget"
    holding = course_at(1000, 1000, hit=4)
    last = 1000 + HOLDING_FACTOR * 3 * period
    assert is_holding(spec, holding) and most_steps(spec, holding, period) == last
    assert why_over(spec, holding, workload, "") is None
    for course, enough in ((holding, "it ended its training"), (course_at(last, 1000, hit=4), "")):
        end = why_over(spec, course, workload, enough)
        assert end is not None and end[0] == "lost"


def test_a_course_comes_back_from_its_checkpoint_with_its_pursuit() -> None:
    course = course_at(1000, 800, hit=3, held=1, seen=5)
    assert Course.from_state(course.state()) == course
