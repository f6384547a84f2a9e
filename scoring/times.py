"""Time-to-result: the clock where the metric crosses the target.

Evaluations are far apart, and the first that meets the target comes up to a period late. So the
time is read off the straight line between it and the evaluation before, in the value that is
judged: a mean over evaluations where the metric has a window. Whether a target was met is decided
by evaluations alone, and by them alone it is timed where the one before has no finite value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from scoring.columns import readings, values
from scoring.consistency import first_hit
from scoring.ground.clocks import CLOCKS, Moment
from scoring.ground.words import Clock, Target
from scoring.records import Evaluation, Header, Record, RecordError

__all__ = [
    "Readings",
    "best_metric",
    "check_clock",
    "crossing",
    "ended_at",
    "first_hit",
    "has_before",
    "hit_readings",
    "readable_clocks",
    "time_to_result",
]


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
    """The clocks where the metric crosses the target in time, infinite where it never does."""
    hit, target = first_hit(header, evaluations), header.target
    if hit is None or target is None:
        return Readings.all(math.inf)
    now = Readings.of(evaluations[hit])
    if not has_before(target, evaluations, hit):
        return now
    before = Readings.of(evaluations[hit - 1])
    values = [evaluations[at].metrics[target.metric] for at in (hit - 1, hit)]
    share = crossing(target, *values)
    return Readings({clock: between(before[clock], now[clock], share) for clock in now})


def has_before(target: Target, evaluations: Sequence[Evaluation], hit: int) -> bool:
    """Whether there is an evaluation before with a value to draw a line from."""
    return hit > 0 and math.isfinite(evaluations[hit - 1].metrics.get(target.metric, math.nan))


def hit_readings(header: Header, evaluations: Sequence[Evaluation]) -> Readings:
    """The clocks at the first evaluation that meets the target in time, infinite if none does."""
    hit = first_hit(header, evaluations)
    return Readings.all(math.inf) if hit is None else Readings.of(evaluations[hit])


def crossing(target: Target, before: float, now: float) -> float:
    """How far from one value to the next the target lies: above 0, and 1 at the next.

    It is 1, too, where the first value or the way between is not finite.
    """
    way = now - before
    if target.value is None or not math.isfinite(way) or way == 0.0:
        return 1.0
    return min(1.0, max(0.0, (target.value - before) / way))


def between(before: float, now: float, share: float) -> float:
    """The reading at that share of the way; the later one where a clock did not run."""
    if share == 1.0 or not math.isfinite(now - before):
        return now
    return min(now, before + share * (now - before))


def ended_at(record: Record) -> Readings:
    """The last readings that a trial left, zero when it left none."""
    last: Moment | None = record.outcome
    if last is None and len(record.evaluations):
        last = record.evaluations[-1]
    return Readings.all(0.0) if last is None else Readings.of(last)


def best_metric(evaluations: Sequence[Evaluation], target: Target) -> float:
    """The best value over all evaluations; NaN if there is none."""
    series = values(evaluations, target.metric)
    finite = series[np.isfinite(series)]
    if not finite.size:
        return math.nan
    return float(finite.min() if target.goal == "min" else finite.max())


def readable_clocks(records: Sequence[Record]) -> list[Clock]:
    """The clocks that every evaluation of these trials was read on."""
    return [name for name in CLOCKS if all(_is_read(record, name) for record in records)]


def check_clock(records: Sequence[Record], clock: Clock) -> None:
    """Every evaluation of these trials was read on the clock.

    Raises:
        RecordError: naming a trial that was not.
    """
    for record in records:
        if not _is_read(record, clock):
            raise RecordError(
                f"{record.path}: was not timed on the {clock} clock; choose another with --clock "
                f"({', '.join(readable_clocks(records))})"
            )


def _is_read(record: Record, clock: Clock) -> bool:
    return bool(np.isfinite(readings(record.evaluations, clock)).all())
