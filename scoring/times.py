"""Time-to-result: the clock at the first evaluation whose metric meets the target."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scoring.consistency import first_hit
from scoring.ground.clocks import CLOCKS, Moment
from scoring.ground.words import Clock, Target, best
from scoring.records import Evaluation, Header, Record

__all__ = ["Readings", "best_metric", "ended_at", "first_hit", "time_to_result"]


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
