"""A trial of the family that is cut off and begun again ends as if nothing had happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import workloads
from cluster.spec import TrialSpec, Update
from cluster.trial import loop
from scoring.ground.words import Budget, Resources
from scoring.records import Record, read_record, record_attempts
from submissions.source import find
from workloads.contract import Workload

pytestmark = pytest.mark.network
EVALUATIONS = 3


def spec(id: str, submission: str, run: Path) -> TrialSpec:
    return TrialSpec(
        run=run,
        workload=id,
        submission=submission,
        source=find(submission),
        hyperparameters={},
        study=0,
        trial=0,
        seed=7,
        target=None,
        budget=Budget(EVALUATIONS * workloads.get(id).settings.evaluation_period, 500.0),
        clock="steps",
        resources=Resources(),
        ruleset="try",
    )


def record(asked: TrialSpec) -> Record:
    return read_record(record_attempts(asked.run, asked.key)[-1])


def to_the_end(asked: TrialSpec) -> Record:
    for _ in loop.run_trial(asked):
        pass
    return record(asked)


def cut_off(asked: TrialSpec) -> None:
    """Two evaluations, and a checkpoint after the first."""
    news = loop.run_trial(asked)
    evaluated = 0
    while evaluated < 2:
        update = next(news)
        assert isinstance(update, Update)
        evaluated += update.phase == "training" and update.steps > 0
    news.close()


@pytest.mark.parametrize(
    ("id", "submission"),
    [
        ("recommender-toy-v3", "adamw"),
        pytest.param("recommender-toy-v3", "adamw_jax", marks=pytest.mark.slow),
        ("recommender-toy-v3+ctr", "adamw"),
        ("recommender-toy-v3+ctr", "adamw_jax"),
    ],
)
def test_a_trial_cut_off_ends_bit_by_bit_as_one_left_alone(
    id: str, submission: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = workloads.get

    def get(text: str) -> Workload[Any]:
        found = real(text)
        settings = found.settings.model_copy(update={"evaluation_period": 10})
        return type(found)(found.id, settings, found.metric, found.race)

    monkeypatch.setattr(workloads, "get", get)
    whole = to_the_end(spec(id, submission, tmp_path / "whole"))
    hit = spec(id, submission, tmp_path / "hit")
    cut_off(hit)
    assert hit.checkpoint.exists()
    assert len(record(hit).evaluations) == 2
    resumed = to_the_end(hit)
    assert len(record_attempts(hit.run, hit.key)) == 2
    assert evaluations(resumed) == evaluations(whole)
    assert len(whole.evaluations) == EVALUATIONS
    assert resumed.outcome is not None
    assert whole.outcome is not None
    assert resumed.outcome.extra["test"] == whole.outcome.extra["test"]


def evaluations(found: Record) -> list[tuple[int, dict[str, float]]]:
    return [(line.steps, dict(line.metrics)) for line in found.evaluations]
