"""Diagnostics agree between frameworks, move nothing, and are in every record."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

import workloads
from cluster import checkpoint
from cluster.learners import make_learner
from cluster.learners.contract import Learner
from cluster.learners.entry import Seeds, make_entry
from cluster.trial import loop
from cluster.trial.loop import run_trial
from scoring.ground.words import Budget, Resources, StateDict
from scoring.records import Outcome, Record, read_record, record_attempts
from submissions.source import find
from workloads.contract import Stream, Workload
from workloads.diagnostics import diagnose
from workloads.metric import DIAGNOSTICS

from ..conftest import Make

SLOW = {"climate", "recommender"}
TOYS = [
    pytest.param(id, marks=pytest.mark.slow if id.split("-")[0] in SLOW and "+" not in id else ())
    for id in workloads.ids()
    if "-toy-" in id and ("+" not in id or id.endswith("+ctr"))
]
NO_STREAM = cast(Stream, None)


def begun(workload: Workload, framework: str) -> Learner:
    source = find({"torch": "sgd", "jax": "sgd_jax"}[framework])
    budget, resources = Budget(10, 10.0), Resources()
    entry = make_entry(workload, source, {}, Seeds.of(3), budget=budget, resources=resources)
    learner = make_learner(framework, entry, [workload.batch_like()], workload.observations_like())
    learner.begin()
    learner.prepare_evaluation()
    return learner


@pytest.mark.parametrize("id", TOYS)
def test_both_frameworks_see_the_same(id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    workload = workloads.get(id)
    monkeypatch.setattr(workload, "probe", lambda stream: workload.batch_like(1))
    ours, theirs = (
        diagnose(workload, begun(workload, framework).judged(), NO_STREAM)
        for framework in ("torch", "jax")
    )
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert all(np.isfinite(value) for value in ours.values())
    assert (DIAGNOSTICS + "gradient_norm" in ours) == workload.supervised
    assert {DIAGNOSTICS + name for name in ("weight_norm", "spectral_norm")} <= ours.keys()


def raced(make: Make, submission: str, **changes: Any) -> tuple[Record, StateDict]:
    """Its record, and all that the learner and its stream are at the end."""
    spec = make(submission, budget=Budget(400, 100.0), **changes)
    *_, outcome = run_trial(spec)
    assert isinstance(outcome, Outcome), outcome
    assert outcome.end == "budget", outcome
    state = checkpoint.load(spec.checkpoint)
    names = ("learner", "stream", "python", "numpy")
    return read_record(record_attempts(spec.run, spec.key)[-1]), {n: state[n] for n in names}


@pytest.mark.network
@pytest.mark.parametrize("submission", ["adamw", "adamw_jax"])
def test_a_trial_goes_as_it_would_without(
    submission: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, state = raced(make, submission)
    with monkeypatch.context() as patched:
        patched.setattr(loop, "diagnose", lambda *_: {})
        plain, same = raced(make, submission, study=1)
    np.testing.assert_equal(state, same)
    for one, other in zip(looked.evaluations, plain.evaluations, strict=True):
        extra = {name for name in one.metrics if name.startswith(DIAGNOSTICS)}
        assert extra == one.metrics.keys() - other.metrics.keys()
        assert len(extra) == 6
        assert {name: one.metrics[name] for name in other.metrics} == other.metrics


PROBED = [
    "homeostatic-toy-v3",
    "lifelong-toy-v3",
    "lm-toy-v2",
    "recommender-toy-v3",
    "recommender-toy-v3+ctr",
    "rl_nap-toy-v3",
]


@pytest.mark.network
@pytest.mark.parametrize("id", PROBED)
def test_a_probe_is_always_the_same_and_leaves_the_stream_as_it_was(id: str) -> None:
    workload = workloads.get(id)
    workload.fetch()
    stream, other = workload.stream(1), workload.stream(1)
    try:
        one = workload.probe(stream)
        again = workloads.get(id).probe(other)
        assert one is not None
        assert again is not None
        assert one.keys() == again.keys() <= workload.batch_like().keys()
        for name, value in one.items():
            np.testing.assert_array_equal(value, again[name])
            assert value.dtype == workload.batch_like()[name].dtype
        assert repr(stream.state()) == repr(other.state())
    finally:
        stream.close()
        other.close()
