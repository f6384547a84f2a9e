"""Curves with fewer points that look the same: what lies on the line between others is left out.

As Douglas and Peucker 1973, by vertical distance: first the end points, then again and again the
point that the lines so far miss by most, until none is missed by more than the eye sees.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence

import numpy as np


def kept(
    across: Sequence[float],
    up: Sequence[float],
    *,
    tolerance: float,
    most: int,
    also: Sequence[int] = (),
) -> list[int]:
    """Indices of the points to keep, in order: `also`, and those that the eye would miss.

    Args:
        across: where the points lie, not falling.
        up: their heights, in drawing units; what is not finite is kept, being a gap,
            with the points beside it.
        tolerance: how far a point may lie from the lines that stand for it.
        most: no more than so many, but for gaps and for `also`.
        also: indices that are kept in any case.
    """
    x, y = np.asarray(across, dtype=float), np.asarray(up, dtype=float)
    count = len(x)
    holds = np.flatnonzero(~(np.isfinite(x) & np.isfinite(y)))
    edges = (place + side for place in holds.tolist() for side in (-1, 0, 1))
    fixed = sorted({0, count - 1, *also, *edges} & set(range(count)))
    chosen = set(fixed)
    waiting: list[tuple[float, int, int, int]] = []
    for left, right in itertools.pairwise(fixed):
        _push(waiting, x, y, left, right)
    while waiting and len(chosen) < most:
        missed, middle, left, right = heapq.heappop(waiting)
        if -missed <= tolerance:
            break
        chosen.add(middle)
        _push(waiting, x, y, left, middle)
        _push(waiting, x, y, middle, right)
    return sorted(chosen)


def _push(
    waiting: list[tuple[float, int, int, int]], x: np.ndarray, y: np.ndarray, left: int, right: int
) -> None:
    """Put the point that the line from `left` to `right` misses by most among the candidates."""
    if right - left < 2 or not np.isfinite(y[[left, right]]).all():
        return
    within = slice(left + 1, right)
    line = np.interp(x[within], x[[left, right]], y[[left, right]])
    misses = np.abs(y[within] - line)
    place = int(misses.argmax())
    heapq.heappush(waiting, (-float(misses[place]), left + 1 + place, left, right))
