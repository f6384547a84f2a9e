"""The effect of a hyperparameter over a range, and how sensitive training is to it.

Wortsman et al. 2023, "Small-scale proxies for large-scale Transformer training instabilities"
(arXiv 2309.14322), section 2.2: with l(h) the final loss at a learning rate h, l* the least of them
and l_0 the loss at initialisation, the sensitivity over a range is the mean over rates, uniform in
their logarithm, of min(l(h), l_0) - l*. 0 is a method for which every rate of the range does as
well as the best; a rate at which training diverges counts as not training at all.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

from scoring.ground.words import Goal

DIGITS = 15
"""The most significant digits shown of a grid value; shorter numbers are shown in full."""


@dataclasses.dataclass(frozen=True)
class Sweep:
    """One workload trained at each value of a grid.

    Attributes:
        workload: its id.
        size: its number of weights.
        metric: the judged metric.
        goal: its direction.
        grid: the values of the hyperparameter, ascending.
        finals: by seed, then by value, the metric at the end; NaN where training diverged.
        initial: by seed, the metric of the weights that training began with.
    """

    workload: str
    size: int
    metric: str
    goal: Goal
    grid: tuple[float, ...]
    finals: tuple[tuple[float, ...], ...]
    initial: tuple[float, ...]

    @property
    def counted(self) -> list[list[float]]:
        """The final values, clipped at the seed's initial value."""
        pick = min if self.goal == "min" else max
        return [
            [pick(value, start) if math.isfinite(value) else start for value in row]
            for row, start in zip(self.finals, self.initial, strict=True)
        ]

    @property
    def curve(self) -> list[float]:
        """The mean over seeds of the clipped final values, at each grid value."""
        return [statistics.fmean(column) for column in zip(*self.counted, strict=True)]

    @property
    def best(self) -> int:
        """The index of the best mean over seeds; the first of equals."""
        curve, pick = self.curve, min if self.goal == "min" else max
        return curve.index(pick(curve))

    @property
    def sensitivities(self) -> list[float]:
        """The sensitivity of each seed."""
        return [sensitivity(row, self.goal) for row in self.counted]

    @property
    def sensitivity(self) -> float:
        """The mean of the seeds' sensitivities."""
        return statistics.fmean(self.sensitivities)

    def diverged(self, place: int) -> int:
        """How many seeds diverged at a value of the grid."""
        return sum(not math.isfinite(row[place]) for row in self.finals)


def sensitivity(values: Sequence[float], goal: Goal) -> float:
    """The mean deviation from the best of values that are equally far apart in the range."""
    best = min(values) if goal == "min" else max(values)
    return statistics.fmean(abs(value - best) for value in values)
