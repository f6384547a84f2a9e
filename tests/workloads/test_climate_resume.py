"""A climate trial that is killed and resumed ends with the very numbers of an undisturbed one."""

from __future__ import annotations

import dataclasses
import json

import pytest

import workloads
from cluster.spec import TrialSpec
from cluster.trial import loop
from scoring.ground.words import Budget
from scoring.records import read_record, record_attempts
from submissions.source import find
from tests.workloads.climate_planet import RECIPE, generate, small
from workloads.climate import data, generated
from workloads.climate.workload import Climate


@pytest.fixture
def planet(tmp_path, monkeypatch):
    """The toy workload on the planet, with an evaluation every five steps."""
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path / "cache"))
    generate()
    archive = generated.read(RECIPE)
    monkeypatch.setattr(data, "_load", lambda source: archive)
    monkeypatch.setattr(data, "fetch", lambda config: None)
    toy = small()
    settings = toy.settings.model_copy(update={"evaluation_period": 5})
    quick = Climate(toy.id, settings, toy.metric, None)
    monkeypatch.setattr(workloads, "get", lambda id: quick)
    monkeypatch.setattr(loop, "_CHECKPOINT_SHARE", 1e9)


def finish(spec, kill_after=None):
    """Run a trial to its end, or drop it after so many evaluations; its metrics by step."""
    updates = loop.run_trial(spec)
    seen = 0
    for update in updates:
        seen += getattr(update, "phase", None) == "training" and update.steps > 0
        if kill_after is not None and seen == kill_after:
            updates.close()
            return None
    record = read_record(record_attempts(spec.run, spec.key)[-1])
    told = {line.steps: line.metrics for line in record.evaluations}
    return json.loads(json.dumps(told)), record.outcome.extra["test"]


@pytest.mark.parametrize("submission", ["adamw", "adamw_jax"])
def test_a_killed_trial_ends_as_an_undisturbed_one(planet, tmp_path, submission):
    spec = TrialSpec(
        run=tmp_path / "whole",
        workload="climate-toy-v2",
        submission=submission,
        source=find(submission),
        hyperparameters={"lr": 0.005},
        study=0,
        trial=0,
        seed=7,
        target=None,
        budget=Budget(20, 1000.0),
    )
    whole = finish(spec)
    cut = dataclasses.replace(spec, run=tmp_path / "cut")
    assert finish(cut, kill_after=2) is None
    assert cut.checkpoint.exists()
    assert finish(cut, kill_after=2) is None
    assert finish(cut) == whole
    assert [int(step) for step in whole[0]] == [5, 10, 15, 20]
