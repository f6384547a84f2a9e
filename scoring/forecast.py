"""Forecasts from a learning curve whether a trial will meet its target: pruning that can err.

The judged metric is taken to follow the annealing law of Tissue et al. 2024 ("Scaling law with
learning rate annealing", arXiv 2408.11029), c + a S1^-b - d S2, fitted to the last three quarters
of the evaluations so far: S1 is the learning rate summed up to there, S2 how far it has been
annealed. Nobody tells a harness the rate; that of a cosine that ends with the limit stands for it,
which many schedules are not. So the improvement that is forecast, and the evaluations' scatter
round the curve, are multiplied by an optimism before a trial is given up;
`tests/benchmarks/forecast.py` tells what that costs and saves on races that were run whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from scoring.ground.words import Target

OPTIMISM = 10.0
"""The default factor by which the forecast improvement is multiplied."""
EARLIEST = 0.2
"""As a share of the limit; before it, no trial is stopped."""
FEWEST = 8
"""The fewest evaluations to which a curve is fitted."""
_EXPONENTS = np.array([0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0])[:, None]
Series = Sequence[float] | np.ndarray


def is_hopeless(
    times: Series, values: Series, target: Target, limit: float, optimism: float = OPTIMISM
) -> bool:
    """Whether to stop a trial that has not met its target yet.

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
    """The improvement that the target needs, in multiples of the one forecast up to `limit`.

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
    powers, annealed = annealing(x)
    means, mean = powers.mean(axis=1, keepdims=True), annealed.mean()
    sums, drops, up = powers - means, annealed - mean, y - y.mean()
    slopes, gains = _least_squares(sums, drops, up)
    errors = ((up - slopes[:, None] * sums - gains[:, None] * drops) ** 2).mean(axis=1)
    best = int(errors.argmin())
    slope, gain = float(slopes[best]), float(gains[best])
    ends = [(powers[best, -1], annealed[-1]), (annealing(np.ones(1))[0][best, 0], 1.0)]
    now, then = (
        float(y.mean() + slope * (power - means[best, 0]) + gain * (drop - mean))
        for power, drop in ends
    )
    return now, then, math.sqrt(float(errors[best]))


def annealing(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """S1 to each exponent, and S2, of a cosine that ends at 1; each in a unit of its own."""
    angle = np.pi * np.minimum(x, 1.0)
    return ((x + np.sin(angle) / np.pi) / 2.0) ** -_EXPONENTS, (1.0 - np.cos(angle)) / 2.0


def _least_squares(
    sums: np.ndarray, drops: np.ndarray, up: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """By exponent, a and -d, neither of which makes a curve worse: what did is not to go on so."""
    own, across, other = (sums**2).sum(axis=1), (sums * drops).sum(axis=1), (drops**2).sum()
    left, right = (sums * up).sum(axis=1), (drops * up).sum()
    area = own * other - across**2
    is_clear = area > 1e-12 * own * other
    with np.errstate(invalid="ignore", divide="ignore"):
        slopes = np.where(is_clear, (left * other - right * across) / area, 0.0)
        gains = np.where(is_clear, (right * own - left * across) / area, 1.0)
        alone = np.where(own > 0, left / own, 0.0).clip(min=0.0)
    slopes = np.where(gains > 0, alone, slopes)
    gains = np.minimum(gains, 0.0)
    alone = np.full_like(gains, min(0.0, right / other) if other > 0 else 0.0)
    return np.where(slopes < 0, 0.0, slopes), np.where(slopes < 0, alone, gains)
