"""What a workload is raced for: a suite's word, else what set-targets found, else equal budget."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from scoring.ground.limit import Limit
from scoring.ground.words import Framework, Scalar
from scoring.run_file import Suite
from workloads.config import Reference
from workloads.contract import Workload

REFERENCE_IN: Mapping[Framework, str] = {"torch": "nadamw", "jax": "nadamw_jax"}
"""The frozen reference of every race whose target does not name another."""


@dataclasses.dataclass(frozen=True)
class Race:
    """A workload as a suite races it.

    Attributes:
        target: the value to reach; None at equal budget.
        budget: the steps and seconds after which a trial ends, before a suite's factor.
        references: by framework; perhaps not of every one.
    """

    target: float | None
    budget: Limit
    references: Mapping[Framework, Reference]


def race_of(workload: Workload, suite: Suite) -> Race:
    """The race of one of a suite's workloads."""
    target = suite.targets.get(str(workload.id))
    if target is not None:
        limit = Limit(steps=target.steps, seconds=target.seconds)
        return Race(target.target, limit, _all(target.reference))
    own = workload.race
    if own is not None:
        return Race(own.target, own.budget, own.reference)
    return Race(None, workload.settings.provisional_budget, _all({}))


def _all(point: Mapping[str, Scalar]) -> dict[Framework, Reference]:
    return {
        framework: Reference(submission=name, hyperparameters=dict(point))
        for framework, name in REFERENCE_IN.items()
    }
