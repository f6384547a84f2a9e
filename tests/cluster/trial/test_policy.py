"""The learner as its stream sees it: present weights, remembered weights, and both resumed."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import workloads
from cluster import checkpoint
from cluster.learners import make_learner
from cluster.learners.contract import Entry, Learner, LearnersPolicy, make_card
from scoring.ground.words import Budget, Resources
from submissions.load import build, execute
from submissions.source import find

from ..conftest import Make
from .test_resume import race
from .test_trial import FRAMEWORKS, metrics

WORKLOAD = "rl_nap-toy-v3"


def learner(submission: str) -> tuple[Learner, Any]:
    workload, source = workloads.get(WORKLOAD), find(submission)
    module, card = execute(source), make_card(workload, Budget(100, 60.0), 0)
    entry = Entry(
        workload=workload,
        weights=workload.initial_weights(0),
        build=lambda params: build(module, source, {}, params=params, card=card),
        module=module,
        closure=source.closure,
        seed=0,
        resources=Resources(),
    )
    batches, observations = [workload.batch_like()], workload.observations_like()
    made = make_learner(source.framework, entry, batches, observations)
    made.begin()
    return made, workload


@pytest.mark.parametrize("submission", FRAMEWORKS)
def test_a_policy_acts_at_the_present_and_at_the_kept_weights(submission: str) -> None:
    made, workload = learner(submission)
    policy, seen = LearnersPolicy(made), workload.batch_like(1)["observation"]
    first = policy(seen)
    policy.keep()
    for seed in range(3):
        made.step(lambda seed=seed: workload.batch_like(seed))  # type: ignore[misc]
    later = policy(seen)
    assert not np.array_equal(first, later)
    np.testing.assert_array_equal(policy.kept(seen), first)
    policy.keep()
    np.testing.assert_array_equal(policy.kept(seen), later)
    made.begin()
    assert made.state()["kept"] is None
    np.testing.assert_array_equal(policy(seen), first)


@pytest.mark.parametrize("submission", FRAMEWORKS)
def test_kept_weights_come_back_from_a_checkpoint(submission: str, tmp_path: Any) -> None:
    made, workload = learner(submission)
    seen = workload.batch_like(1)["observation"]
    made.keep()
    made.step(workload.batch_like)
    checkpoint.save(tmp_path / "state", made.state())
    again, _ = learner(submission)
    again.load_state(checkpoint.load(tmp_path / "state"))
    np.testing.assert_array_equal(again.act_as_kept(seen), made.act_as_kept(seen))
    np.testing.assert_array_equal(again.act(seen), made.act(seen))
    assert not np.array_equal(made.act(seen), made.act_as_kept(seen))


@pytest.mark.parametrize("submission", FRAMEWORKS)
def test_a_trial_of_play_that_was_cut_off_ends_as_one_left_alone(
    make: Make, submission: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluated more often than at the workload's pace, and cut off between two copies."""
    real = workloads.get

    def get(text: str) -> Any:
        found = real(text)
        quick = {"copy_period": 70, "exploration_steps": 150, "episodes": 4, "episode_steps": 60}
        data = found.settings.data.model_copy(update=quick)
        changes = {"data": data, "evaluation_period": 100, "metric_window": 1}
        settings = found.settings.model_copy(update=changes)
        metric = dataclasses.replace(found.metric, window=1)
        return type(found)(found.id, settings, metric, None)

    monkeypatch.setattr(workloads, "get", get)
    race(make(submission, workload=WORKLOAD, budget=Budget(200, 100.0)))
    outcome, resumed = race(make(submission, workload=WORKLOAD, budget=Budget(400, 100.0)))
    _, whole = race(make(submission, workload=WORKLOAD, study=1, budget=Budget(400, 100.0)))
    assert outcome.steps == 400
    assert metrics(resumed) == metrics(whole)
    assert len({line.metrics["train/value"] for line in whole.evaluations}) == 4
    assert outcome.extra["test"]["test/space_invaders"] >= 0
