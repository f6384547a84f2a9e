"""Whole trials on the paired clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import cluster
from cluster.spec import Pace, TrialSpec
from scoring.ground.words import Budget
from scoring.records import Record, read_record, record_attempts

from ..conftest import Make

pytestmark = pytest.mark.network


def record(spec: TrialSpec) -> Record:
    (finished,) = cluster.run_all([spec], executor="in_process")
    return read_record(record_attempts(finished.spec.run, finished.spec.key)[-1])


def paired(spec: TrialSpec, **changes: Any) -> TrialSpec:
    budget = replace(spec.budget, reference_steps=1e9)
    changes = {"budget": budget, **changes}
    pace = Pace(spec.source, spec.hyperparameters)
    return replace(spec, clock="paired", pace=pace, **changes)


@pytest.mark.parametrize("name", ["adamw", "adamw_jax"])
def test_taking_turns_changes_no_step_of_the_submission(name: str, make: Make) -> None:
    alone = record(make(name, clock="steps"))
    turns = record(paired(make(name, trial=1)))
    ours = [(one.steps, one.metrics) for one in alone.evaluations]
    assert ours == [(one.steps, one.metrics) for one in turns.evaluations]
    assert all(one.paired is None for one in alone.evaluations)


def test_paired_time_rises_and_is_that_of_the_steps_for_the_reference_itself(make: Make) -> None:
    done = record(paired(make("adamw")))
    times = [one.paired for one in done.evaluations]
    assert times == sorted(times) and times[0] > 0
    assert done.outcome is not None and done.outcome.paired == times[-1]
    assert done.outcome.extra["reference_turns_s"] > 0


def test_the_limit_is_counted_in_reference_steps(make: Make) -> None:
    spec = make("adamw")
    budget = Budget(spec.budget.steps, spec.budget.seconds, reference_steps=1e-3)
    ended = record(paired(spec, budget=budget)).outcome
    assert ended is not None
    assert ended.end == "budget"
    assert "reference steps on the paired clock are spent" in ended.reason
