"""What a set of runs says about a target: their bests, spread, and first meetings."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

from scoring.ground.pursuit import Pursuit
from scoring.ground.words import Held, Target, best
from scoring.records import Record
from scoring.times import between, crossing
from workloads.errors import WorkloadError
from workloads.metric import Metric

DIGITS = 4
"""Significant digits of a target."""
NORMAL = 1.4826
"""A normal distribution's standard deviation, in median distances from its median."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """The judged metric of one run by steps, with the CPU seconds it took."""

    steps: tuple[int, ...]
    seconds: tuple[float, ...]
    values: tuple[float, ...]


def judged_curve(record: Record, metric: Metric) -> Curve:
    """The judged metric at the evaluations that have one."""
    judged = [line for line in record.evaluations if metric.key in line.metrics]
    return Curve(
        steps=tuple(line.steps for line in judged),
        seconds=tuple(line.cpu_s for line in judged),
        values=tuple(line.metrics[metric.key] for line in judged),
    )


def up_to(curve: Curve, steps: int) -> Curve:
    """The beginning of a curve."""
    count = sum(seen <= steps for seen in curve.steps)
    return Curve(curve.steps[:count], curve.seconds[:count], curve.values[:count])


def spread(metric: Metric, curves: Sequence[Curve]) -> float:
    """Standard deviation over runs of the best judged value; 0 of a single run."""
    finals = bests(metric, curves)
    return statistics.stdev(finals) if len(finals) > 1 else 0.0


def median_deviation(values: Sequence[float]) -> float:
    """The standard deviation of normal values whose median distance from their median is theirs."""
    middle = statistics.median(values)
    return NORMAL * statistics.median(abs(value - middle) for value in values)


def loosest(metric: Metric, curves: Sequence[Curve], slack: float = 0.0) -> float:
    """The target that every one of these runs meets by `slack`, rounded away from them.

    Raises:
        WorkloadError: a run has no judged value.
    """
    finals = bests(metric, curves)
    if not all(map(math.isfinite, finals)):
        raise WorkloadError(f"a run of the winner has no finite {metric.key}; no target can be set")
    up = metric.goal == "min"
    worst = max(finals) + slack if up else min(finals) - slack
    scale = 10.0 ** (DIGITS - 1 - math.floor(math.log10(abs(worst)))) if worst else 1.0
    units = (math.ceil if up else math.floor)(worst * scale)
    # The product itself is rounded, and may have come out on the wrong side.
    missed = not metric.target(units / scale).met_by(worst)
    return (units + (missed if up else -missed)) / scale


def first_meeting(metric: Metric, curve: Curve, target: float) -> tuple[float, float]:
    """Steps, to tenths, and seconds where the curve crosses the target, as races are timed.

    Both are infinite where it never does, or does not hold the target as long as it must.
    """
    aim = metric.target(target)
    pursuit = _pursuit(aim, curve)
    if pursuit.hit is None or not pursuit.reached(aim):
        return math.inf, math.inf
    place, back = pursuit.hit, max(0, pursuit.hit - 1)
    share = crossing(aim, curve.values[back], curve.values[place])
    steps = between(curve.steps[back], curve.steps[place], share)
    return round(steps, 1), between(curve.seconds[back], curve.seconds[place], share)


def bests(metric: Metric, curves: Sequence[Curve]) -> list[float]:
    """Each run's best judged value; where a target must hold, the hardest that it holds."""
    if metric.held is None:
        return [best(list(curve.values), metric.goal) for curve in curves]
    return [_hardest(metric, metric.held, curve) for curve in curves]


def _hardest(metric: Metric, held: Held, curve: Curve) -> float:
    """The hardest target that a run holds; of one too short for any, that it has not lost."""
    up = metric.goal == "max"
    near = [value + (held.slack if up else -held.slack) for value in curve.values]
    unlost = math.nan
    for value in sorted(filter(math.isfinite, [*curve.values, *near]), reverse=up):
        aim = metric.target(value)
        pursuit = _pursuit(aim, curve)
        if pursuit.reached(aim):
            return value
        if math.isnan(unlost) and pursuit.is_holding(aim):
            unlost = value
    return unlost


def _pursuit(target: Target, curve: Curve) -> Pursuit:
    pursuit = Pursuit()
    for value in curve.values:
        pursuit.take(target, value, on_time=True)
    return pursuit


def published_bests(metric: Metric, curves: Sequence[Curve]) -> list[float]:
    """The bests to the digits that are published."""
    return [digits(value) for value in bests(metric, curves)]


def digits(value: float) -> float:
    """To six significant digits."""
    return float(f"{value:.6g}")


def two_digits(seconds: float) -> float:
    """Seconds to two significant digits, from a hundred on to three."""
    return float(f"{seconds:.2g}") if seconds < 100 else float(f"{seconds:.3g}")
