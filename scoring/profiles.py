"""Performance profiles: the share of workloads solved within tau times a yardstick's time.

After Dolan and Moré 2002, "Benchmarking optimization software with performance profiles".
"""

from __future__ import annotations

from collections.abc import Iterable

TAU_MAX = 4.0
"""Results slower than this many times the yardstick count 0."""


def corners(ratios: Iterable[float], tau_max: float = TAU_MAX) -> list[tuple[float, float]]:
    """Corners (tau, rho) of a performance profile: the share of workloads with ratio <= tau.

    The curve is a step function on [1, tau_max], continuous from the right; every step is given
    by its lower and its upper corner, so that straight lines between corners draw it. Ratios below
    1 count from tau = 1 on.
    """
    every = [max(1.0, ratio) for ratio in ratios]
    count = len(every)
    rho = sum(ratio <= 1.0 for ratio in every) / count
    path = [(1.0, rho)]
    for tau in sorted({ratio for ratio in every if 1.0 < ratio <= tau_max}):
        path.append((tau, rho))
        rho = sum(ratio <= tau for ratio in every) / count
        path.append((tau, rho))
    path.append((tau_max, rho))
    return path
