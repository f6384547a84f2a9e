"""Time-to-result: the clock at the first evaluation whose metric meets the target."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scoring.ground.clocks import CLOCKS, Moment
from scoring.ground.words import Clock, Target, best
from scoring.records import Evaluation, Header, Record


class Readings(dict[Clock, float]):
    """One moment on every clock; a moment that never came is infinity on all of them."""

    @classmethod
    def of(cls, moment: Moment) -> Readings:
        """The readings that a moment carries."""
        return cls({name: clock.read(moment) for name, clock in CLOCKS.items()})

    @classmethod
    def all(cls, value: float) -> Readings:
        """The same value on every clock."""
        return cls(dict.fromkeys(CLOCKS, value))

    def on(self, clock: Clock) -> float:
        """The reading of one of the clocks."""
        return self[clock]


def first_hit(header: Header, evaluations: Sequence[Evaluation]) -> int | None:
    """Index of the first evaluation that meets the header's target within its budget, or None.

    There is no interpolation between evaluations and no confirmation by a later one. Seconds are
    held against the budget on the header's official clock.
    """
    for index, evaluation in enumerate(evaluations):
        if header.target is None or not within_budget(header, evaluation):
            return None
        if header.target.met_by(evaluation.metrics.get(header.target.metric)):
            return index
    return None


def time_to_result(header: Header, evaluations: Sequence[Evaluation]) -> Readings:
    """The clocks at the first evaluation that meets the target in time, infinite if none does."""
    hit = first_hit(header, evaluations)
    return Readings.all(math.inf) if hit is None else Readings.of(evaluations[hit])


def ended_at(record: Record) -> Readings:
    """The last readings that a trial left, zero when it left none."""
    last: Sequence[Moment] = [*record.evaluations[-1:]]
    if record.outcome is not None:
        last = [record.outcome]
    return Readings.of(last[0]) if last else Readings.all(0.0)


def best_metric(evaluations: Sequence[Evaluation], target: Target) -> float:
    """The best value that any evaluation saw, NaN when there is none."""
    values = [one.metrics.get(target.metric, math.nan) for one in evaluations]
    return best(values, target.goal)


def within_budget(header: Header, moment: Moment) -> bool:
    """Whether a moment lies within the header's budget: of steps, and of the clock's seconds."""
    clock = CLOCKS[header.clock]
    in_seconds = not clock.in_seconds or clock.read(moment) <= header.budget.seconds
    return in_seconds and moment.steps <= header.budget.steps
