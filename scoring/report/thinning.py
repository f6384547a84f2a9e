"""Curves with fewer points that look the same: what lies on the line between others is left out.

As Douglas and Peucker 1973, by vertical distance: first the end points, then again and again the
point that the lines so far miss by most, until none is missed by more than the eye sees. Thousands
of curves are thinned side by side, each by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def kept_of_all(
    axes: Sequence[Sequence[Sequence[float]]],
    up: Sequence[Sequence[float] | np.ndarray],
    *,
    tolerance: float,
    most: int,
    also: Sequence[Sequence[int]],
) -> list[list[int]]:
    """Indices of the points to keep, in order, by curve: `also`, and those the eye would miss.

    Args:
        axes: for each axis that the curves may be drawn along, where each one's points lie, not
            falling.
        up: their heights, in drawing units; what is not finite is kept, being a gap,
            with the points beside it.
        tolerance: how far a point may lie from the lines that stand for it.
        most: no more of a curve than so many, but for gaps and for `also`.
        also: indices that are kept in any case.
    """
    lengths = np.array(list(map(len, up)), dtype=int)
    width = int(lengths.max(initial=0))
    if not width:
        return [[] for _ in up]
    x, y = np.stack([_padded(across, width) for across in axes]), _padded(up, width)
    gap = ~(np.isfinite(x).all(axis=0) & np.isfinite(y))
    chosen = gap.copy()
    chosen[:, 1:] |= gap[:, :-1]
    chosen[:, :-1] |= gap[:, 1:]
    rows = np.flatnonzero(lengths)
    chosen[rows, 0] = chosen[rows, lengths[rows] - 1] = True
    for row, places in enumerate(also):
        chosen[row, [place for place in places if 0 <= place < lengths[row]]] = True
    chosen &= np.arange(width) < lengths[:, None]
    open_ = rows[chosen[rows].sum(axis=1) < most]
    while len(open_):
        missed = _missed(x[:, open_], y[open_], chosen[open_] | gap[open_])
        worst = missed.argmax(axis=1)
        open_ = open_[(more := missed[np.arange(len(open_)), worst] > tolerance)]
        chosen[open_, worst[more]] = True
        open_ = open_[chosen[open_].sum(axis=1) < most]
    return [np.flatnonzero(row).tolist() for row in chosen]


def _padded(curves: Sequence[Sequence[float] | np.ndarray], width: int) -> np.ndarray:
    padded = np.full((len(curves), width), np.nan)
    for row, curve in zip(padded, curves, strict=True):
        row[: len(curve)] = curve
    return padded


def _missed(x: np.ndarray, y: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """By how much each point is missed, along any axis, by the line between the chosen beside it.

    x is of shape (axes, curves, points), y and `chosen` of (curves, points).
    """
    places = np.broadcast_to(np.arange(y.shape[1]), y.shape)
    left = np.maximum.accumulate(np.where(chosen, places, 0), axis=1)
    after = np.where(chosen, places, y.shape[1] - 1)[:, ::-1]
    right = np.minimum.accumulate(after, axis=1)[:, ::-1]
    y0, y1 = (np.take_along_axis(y, at, 1) for at in (left, right))
    x0, x1 = (np.take_along_axis(x, at[None], 2) for at in (left, right))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(x1 > x0, (x - x0) / (x1 - x0), 0.0)
        missed = np.abs(y - (y0 + share * (y1 - y0))).max(axis=0)
    return np.where(chosen | ~np.isfinite(missed), 0.0, missed)
