"""Time-to-result: the clock at the first evaluation whose metric meets the target."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from scoring.ground.words import Clock, Target, best
from scoring.records import Evaluation, Header, Outcome, Record


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


def first_hit(header: Header, evaluations: Sequence[Evaluation]) -> int | None:
    """Index of the first evaluation that meets the header's target within its budget, or None.

    There is no interpolation between evaluations and no confirmation by a later one. Seconds are
    held against the budget on the header's official clock.
    """
    for index, evaluation in enumerate(evaluations):
        if header.target is None or not _within(header, evaluation):
            return None
        if header.target.met_by(evaluation.metrics.get(header.target.metric)):
            return index
    return None


def time_to_result(header: Header, evaluations: Sequence[Evaluation]) -> Readings:
    """The clocks at the first evaluation that meets the target in time, infinite if none does."""
    hit = first_hit(header, evaluations)
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
    return best(values, target.goal)


def _within(header: Header, evaluation: Evaluation) -> bool:
    spent = _readings(evaluation)
    in_seconds = header.clock == "steps" or spent.on(header.clock) <= header.budget.seconds
    return in_seconds and spent.steps <= header.budget.steps


def _readings(moment: Evaluation | Outcome) -> Readings:
    return Readings(moment.wall_s, moment.cpu_s, float(moment.steps))
