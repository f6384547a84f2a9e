"""What a submission puts in the place of the harness's own functions is told in its record."""

from __future__ import annotations

import time

import numpy as np
import pytest

import cluster
from cluster import faults
from cluster.guards.replaced import Functions
from cluster.trial.course import Course
from scoring.ground.words import Budget
from workloads.contract import Workload

from ..conftest import Make


def test_nothing_is_told_where_nothing_was_replaced() -> None:
    functions = Functions()
    assert functions.replaced() == []


def test_methods_and_functions_are_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    functions = Functions()
    monkeypatch.setattr(Workload, "evaluate", lambda *_: {})
    monkeypatch.setattr(faults, "told", str)
    monkeypatch.setattr(np, "isfinite", np.isnan)
    monkeypatch.setattr(time, "perf_counter", time.monotonic)
    assert functions.replaced() == [
        "cluster.faults.told",
        "numpy.isfinite",
        "time.perf_counter",
        "workloads.contract.Workload.evaluate",
    ]
    monkeypatch.undo()
    assert functions.replaced() == []


def test_a_method_of_one_object_alone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    functions = Functions()
    course = Course()
    monkeypatch.setattr(course, "count", lambda steps: None)
    assert functions.replaced() == ["cluster.trial.course.Course.count of an object"]
    monkeypatch.undo()
    assert functions.replaced() == []


CHEAT = """
import sys
import torch
def submission(params, lr=3e-3):
    kind = sys.modules["cluster.trial.course"].Course
    real = kind.count
    kind.count = lambda self, steps: real(self, steps)
    return torch.optim.AdamW(params, lr=lr)
"""


OF_AN_OBJECT = """
class Odd:
    def init(self, params):
        return {}
    def update(self, params, state, batch, problem):
        model = problem._run.model
        model.measure = model.measure
        problem.value_and_grad = problem.value_and_grad
        problem.loss(params, batch)
        return state
def submission(params):
    return Odd()
"""
TOLD = {
    CHEAT: ["cluster.trial.course.Course.count"],
    OF_AN_OBJECT: [
        "cluster.learners.run_torch.Problem.value_and_grad of an object",
        "workloads.homeostatic.model_torch.HomeostaticTorch.measure of an object",
    ],
}


@pytest.mark.network
@pytest.mark.parametrize("text", [*TOLD, None])
def test_the_outcome_tells_it(
    make: Make, text: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Course, "count", Course.count)  # put back what the cheat leaves
    spec = make("cheats", text, budget=Budget(100, 100.0)) if text else make("adamw_jax")
    (finished,) = cluster.run_all([spec], executor="in_process")
    told = [f"replaced: {name}" for name in TOLD[text]] if text else None
    assert finished.outcome.extra.get("audit") == told
