"""Time-to-result: the clock at the first evaluation whose metric meets the target."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from scoring.records import Clock, Evaluation, Outcome, Record, Target


@dataclasses.dataclass(frozen=True)
class Readings:
    """One moment on the three clocks: seconds, process CPU seconds, optimizer steps.

    A moment that never came is infinity on all three.
    """

    wall: float = math.inf
    cpu: float = math.inf
    steps: float = math.inf

    def on(self, clock: Clock) -> float:
        """The reading of one of the clocks."""
        reading: float = getattr(self, clock)
        return reading


def meets(value: float | None, target: Target) -> bool:
    """Whether a metric's value is at the target or beyond; NaN and a missing value never are."""
    if value is None or math.isnan(value):
        return False
    return value <= target.value if target.goal == "min" else value >= target.value


def first_hit(evaluations: Sequence[Evaluation], target: Target) -> int | None:
    """Index of the first evaluation that meets the target, None when none does.

    There is no interpolation between evaluations and no confirmation by a later one.
    """
    for index, evaluation in enumerate(evaluations):
        if meets(evaluation.metrics.get(target.metric), target):
            return index
    return None


def time_to_result(evaluations: Sequence[Evaluation], target: Target) -> Readings:
    """The clocks at the first evaluation that meets the target, infinite when none does."""
    hit = first_hit(evaluations, target)
    return Readings() if hit is None else _readings(evaluations[hit])


def ended_at(record: Record) -> Readings:
    """The last readings that a trial left, zero when it left none."""
    last: Sequence[Evaluation | Outcome] = [*record.evaluations[-1:]]
    if record.outcome is not None:
        last = [record.outcome]
    return _readings(last[0]) if last else Readings(0.0, 0.0, 0.0)


def best_metric(evaluations: Sequence[Evaluation], target: Target) -> float:
    """The best value that any evaluation saw, NaN when there is none."""
    values = [one.metrics.get(target.metric, math.nan) for one in evaluations]
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return math.nan
    return min(known) if target.goal == "min" else max(known)


def _readings(moment: Evaluation | Outcome) -> Readings:
    return Readings(moment.wall_s, moment.cpu_s, float(moment.steps))
