"""What a workload is raced for: a suite's word, else what set-targets found, else equal budget.

Where every machine makes data of its own, steps that the reference took on another's tell nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from scoring.ground.limit import Limit
from scoring.ground.words import Framework, Scalar, short
from scoring.run_file import StatedTarget
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
        foreign: why those of a framework have not the steps that ship with the target.
    """

    target: float | None
    budget: Limit
    references: Mapping[Framework, Reference]
    foreign: Mapping[Framework, str] = dataclasses.field(default_factory=dict)


def race_of(workload: Workload, stated: StatedTarget | None = None) -> Race:
    """The race of a workload, for which a suite may have stated the target.

    Raises:
        WorkloadError: the data that this machine made are damaged.
    """
    if stated is not None:
        limit = Limit(steps=stated.steps, seconds=stated.seconds)
        return Race(stated.target, limit, _all(stated.reference))
    own = workload.race
    if own is not None:
        foreign = _foreign(workload, own.reference)
        references = {
            framework: one.model_copy(update={"steps": []}) if framework in foreign else one
            for framework, one in own.reference.items()
        }
        return Race(own.target, own.budget, references, foreign)
    return Race(None, workload.settings.provisional_budget, _all({}))


def _foreign(workload: Workload, shipped: Mapping[Framework, Reference]) -> Mapping[Framework, str]:
    """By framework, why the reference's steps are not of this machine's data.

    Nothing is fetched or made for it: data that are still to be made are taken for others.
    """
    of = {framework: one.data for framework, one in shipped.items() if one.steps}
    here = workload.made_here_sha256() if of else None
    if here is None:
        return {}
    told = f"this machine has {short(here)}" if here else "this machine has none yet"
    return {
        framework: "its shipped reference steps were measured on "
        + (f"other data ({short(data)}; {told})" if data else f"unrecorded data ({told})")
        for framework, data in of.items()
        if not data or data != here
    }


def _all(point: Mapping[str, Scalar]) -> dict[Framework, Reference]:
    return {
        framework: Reference(submission=name, hyperparameters=dict(point))
        for framework, name in REFERENCE_IN.items()
    }
