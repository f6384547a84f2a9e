"""Whether a trial will still meet its target, as its learning curve has it: pruning that can err.

The judged metric over time is taken to follow a power law, c + a t^-b (as learning curves of many
kinds do: Viering and Loog 2023, "The Shape of Learning Curves", arXiv 2103.10948), fitted to the
last three quarters of the evaluations so far. It knows nothing of the submission's schedule: what
annealing a learning rate adds late is no power law of what came before. So the improvement that it
forecasts, and the evaluations' scatter round it, are multiplied by an optimism before a trial is
given up; `tests/benchmarks/forecast.py` tells what that costs and saves on races that were run
whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from scoring.ground.words import Target

OPTIMISM = 4.0
"""What the forecast improvement is multiplied by, unless told otherwise."""
EARLIEST = 0.2
"""Of the limit; before it no trial is given up."""
FEWEST = 8
"""Evaluations; of fewer no curve is fitted."""
_EXPONENTS = np.array([0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0])[:, None]
Series = Sequence[float] | np.ndarray


def is_hopeless(
    times: Series, values: Series, target: Target, limit: float, optimism: float = OPTIMISM
) -> bool:
    """Whether a trial that has not met its target yet is to be given up.

    Args:
        times: of the evaluations so far, on the clock that `limit` is a reading of.
        values: of the judged metric.
        target: what must be met; at equal budget nobody is given up.
        limit: when the trial ends at the latest.
        optimism: 1 takes the forecast at its word; the more, the fewer are given up.
    """
    if not len(times) or not math.isfinite(limit) or times[-1] < EARLIEST * limit:
        return False
    return shortfall(times, values, target, limit) > optimism


def shortfall(times: Series, values: Series, target: Target, limit: float) -> float:
    """How many times the improvement that is forecast up to `limit` the target needs.

    At most 1 where the forecast meets the target; 0 where it was met already, or where nothing
    can be said yet.
    """
    x, y = np.asarray(times, dtype=float), np.asarray(values, dtype=float)
    usable = np.isfinite(y) & (x > 1e-9 * limit)
    if target.value is None or usable.sum() < FEWEST:
        return 0.0
    sign = 1.0 if target.goal == "min" else -1.0
    x, y, aim = x[usable] / limit, sign * y[usable], sign * target.value
    now, then, scatter = _fit(x[len(x) // 4 :], y[len(y) // 4 :])
    needed = min(float(y.min()), now) - aim
    hoped = max(0.0, now - then) + scatter
    if needed <= 0:
        return 0.0
    return needed / hoped if hoped > 0 else math.inf


def _fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """The curve at the last of `x` and at 1, and the points' standard deviation round it."""
    powers = x**-_EXPONENTS
    means = powers.mean(axis=1, keepdims=True)
    across, up = powers - means, y - y.mean()
    squares = (across**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        slopes = np.where(squares > 0, (across * up).sum(axis=1) / squares, 0.0)
    slopes = slopes.clip(min=0.0)  # what gets worse is not expected to go on so
    errors = ((up - slopes[:, None] * across) ** 2).mean(axis=1)
    best = int(errors.argmin())
    level, slope = float(y.mean() - slopes[best] * means[best, 0]), float(slopes[best])
    now = level + slope * float(powers[best, -1])
    return now, level + slope, math.sqrt(float(errors[best]))
