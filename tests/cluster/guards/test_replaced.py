"""What a submission puts in the place of the harness's own functions is told in its record."""

from __future__ import annotations

import pytest

import cluster
from cluster import faults
from cluster.guards.replaced import Functions
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
    assert functions.replaced() == [
        "cluster.faults.told",
        "workloads.contract.Workload.evaluate",
    ]
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


@pytest.mark.network
@pytest.mark.parametrize("cheats", [True, False])
def test_the_outcome_tells_it(make: Make, cheats: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from cluster.trial.course import Course

    monkeypatch.setattr(Course, "count", Course.count)  # put back what the cheat leaves
    spec = make("cheats", CHEAT, budget=Budget(100, 100.0)) if cheats else make("adamw_jax")
    (finished,) = cluster.run_all([spec], executor="in_process")
    told = ["replaced: cluster.trial.course.Course.count"] if cheats else None
    assert finished.outcome.extra.get("audit") == told
