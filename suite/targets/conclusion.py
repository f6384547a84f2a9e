"""From the runs on fresh seeds to a target, a budget and a reference, with the log of it all."""

from __future__ import annotations

import datetime
import math
import statistics
from collections.abc import Mapping, Sequence

from cluster.hardware import fingerprint, versions
from scoring.ground.words import Facts
from suite.targets.stages import BUDGET_FACTOR, ENTRANTS, Candidate, Stages
from suite.targets.statistics import (
    Curve,
    first_meeting,
    loosest,
    published_bests,
    spread,
    two_digits,
)
from suite.targets.write import Result
from workloads.config import Race
from workloads.errors import WorkloadError
from workloads.metric import Metric

SHARES = (1.0, 1.5, 2.0, 3.0, 4.0)
"""Of a standard deviation; a target that need not hold takes the first."""
Hits = Mapping[str, list[tuple[float, float]]]
"""Steps and CPU seconds at which each run met the target, by submission."""


def conclude(
    stages: Stages,
    winner: Candidate,
    reference: Candidate,
    fresh: Mapping[str, list[Curve]],
    log: Facts,
) -> Result:
    """The published target, budget and reference, and the log of how they were set.

    Raises:
        WorkloadError: a run has no judged value.
    """
    metric = stages.metric
    every = [curve for curves in fresh.values() for curve in curves]
    target = _target(metric, every, max(spread(metric, curves) for curves in fresh.values()))
    hits = {
        name: [first_meeting(metric, curve, target) for curve in curves]
        for name, curves in fresh.items()
    }
    measured = {
        name: {
            "best": published_bests(metric, curves),
            "steps": [hit[0] for hit in hits[name]],
            "cpu_s": [round(hit[1], 2) for hit in hits[name]],
        }
        for name, curves in fresh.items()
    }
    race = _race(winner, reference, target, hits, stages.data)
    return Result(race, _log(stages, winner, measured, log))


def _target(metric: Metric, curves: Sequence[Curve], deviation: float) -> float:
    """What the worst run reached, loosened by a standard deviation, or until all runs hold it.

    Raises:
        WorkloadError: a run has no judged value, or they hold no target alike.
    """
    for share in SHARES:
        target = loosest(metric, curves, share * deviation)
        if all(math.isfinite(first_meeting(metric, curve, target)[0]) for curve in curves):
            return target
    raise WorkloadError(f"no {metric.key} is both met and held by all fresh runs")


def _race(winner: Candidate, reference: Candidate, target: float, hits: Hits, data: str) -> Race:
    # Of the reference, too, where another won: up to four times its time scores something.
    methods = (winner.method, reference.method)
    own = {name for one in methods for name in (one, ENTRANTS[one]) if name in hits}
    steps = max(statistics.median(hit[0] for hit in hits[name]) for name in own)
    seconds = max(statistics.median(hit[1] for hit in hits[name]) for name in own)
    names = {"torch": reference.method, "jax": ENTRANTS[reference.method]}
    return Race.model_validate(
        {
            "target": target,
            "budget": {
                "steps": math.ceil(BUDGET_FACTOR * steps),
                "seconds": two_digits(BUDGET_FACTOR * seconds),
            },
            "reference": {
                framework: {
                    "submission": name,
                    "hyperparameters": reference.point,
                    "steps": [hit[0] for hit in hits.get(name, [])],
                    "data": data if name in hits else "",
                }
                for framework, name in names.items()
            },
        }
    )


def _log(
    stages: Stages,
    winner: Candidate,
    measured: Mapping[str, Facts],
    log: Facts,
) -> dict[str, object]:
    settings = stages.settings
    hardware = fingerprint(settings.resources)
    return {
        "command": settings.command,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "metric": stages.metric.key,
        "horizon": stages.horizon,
        "winner": winner.method,
        "data_sha256": stages.data,
        **log,
        "fresh": dict(measured),
        "hardware": {key: hardware[key] for key in ("cpu", "simd", "cores", "digest")},
        "versions": versions(),
    }
