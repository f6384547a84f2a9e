"""The weights at a hit are kept, and judged again without the submission's code."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest

import cluster
from cluster import checkpoint, kept
from cluster.attempts import amend
from scoring.ground.words import Budget
from scoring.records import Record, read_record, record_attempts

from .conftest import Make

pytestmark = pytest.mark.network

FORGES = """
import optax
import cluster.learners.learner_jax as learner

asked = learner.JaxLearner.judged

def flattered(self):
    judged = asked(self)
    def measure(batch):
        sums = dict(judged.measure(batch))
        return sums | {"correct": sums["count"]}
    return type(judged)(measure, judged.predict, judged.weights)

def submission(lr=0.003):
    learner.JaxLearner.judged = flattered
    return optax.adam(lr)
"""


def hit(make: Make, name: str, text: str | None = None) -> Record:
    spec = make(name, text, target=0.2, budget=Budget(1200, 100.0))
    list(cluster.run_all([spec], executor="in_process"))
    return read_record(record_attempts(spec.run, spec.key)[-1])


def altered(record: Record, path: Path) -> Record:
    """The record with the digest of what lies there now: who forges one forges both."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert record.outcome
    extra = {**record.outcome.extra, kept.DIGEST: digest}
    amend(record, dataclasses.replace(record.outcome, extra=extra))
    return read_record(record.path)


@pytest.mark.parametrize("name", ["schedule_free_adamw", "schedule_free_adamw_jax"])
def test_an_honest_hit_is_found_again(make: Make, name: str) -> None:
    record = hit(make, name)
    assert record.outcome
    assert record.outcome.end == "reached"
    assert kept.judge_again(record) == ""


def test_other_weights_than_those_judged_are_found(make: Make) -> None:
    record = hit(make, "adamw")
    path = kept.path_of(record.path)
    state = checkpoint.load(path)
    head = next(name for name in reversed(state["weights"]) if name.endswith("weight"))
    state["weights"][head] = np.zeros_like(state["weights"][head])
    checkpoint.save(path, state)
    assert "does not match its digest" in (kept.judge_again(record) or "")
    found = kept.judge_again(altered(record, path)) or ""
    assert "validation/accuracy is" in found
    state["weights"][head] = state["weights"][head][1:]
    checkpoint.save(path, state)
    assert "do not match" in (kept.judge_again(altered(record, path)) or "")
    path.unlink()
    assert "cannot be read" in (kept.judge_again(record) or "")


def test_a_flattered_evaluation_is_found(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from cluster.learners.learner_jax import JaxLearner

    with monkeypatch.context() as patched:
        patched.setattr(JaxLearner, "judged", JaxLearner.judged)  # put back afterwards
        record = hit(make, "flatters", FORGES)
    assert record.evaluations[-1].metrics["validation/accuracy"] == 1.0
    assert "validation/accuracy is 1 in the record but 0." in (kept.judge_again(record) or "")


def test_what_was_missed_keeps_nothing(make: Make) -> None:
    spec = make("adamw", target=0.9999, budget=Budget(200, 100.0))
    list(cluster.run_all([spec], executor="in_process"))
    record = read_record(record_attempts(spec.run, spec.key)[-1])
    assert not kept.path_of(record.path).exists()
    assert kept.judge_again(record) is None
