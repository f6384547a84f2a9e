"""Two entries of a board compared: the difference with its interval, and what carries it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from scoring.board import Board, Row
from scoring.bootstrap import Resampler, interval
from scoring.gradathlon import mean_score
from scoring.ground.errors import nearest
from scoring.ranking import Difference, chance_of_better, difference
from scoring.records import RecordError


@dataclasses.dataclass(frozen=True)
class Part:
    """One workload: both times, `one`'s time over `other`'s with its interval, None if unknown."""

    one: float
    other: float
    ratio: float
    interval: tuple[float, float] | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How two entries compare.

    Attributes:
        scores: of both.
        difference: of the studies' scores, paired.
        chance: the share of redrawn studies in which the first scores higher, ties half; None
            where that is not known.
        speed_up: geometric mean over the workloads that both met of the other's time over the
            first's; NaN if there is none.
        parts: by workload.
        studies: of the workload with the fewest, of those that each raced on.
        without: both scores with one workload left out, by the workload left out.
    """

    scores: tuple[float, float]
    difference: Difference
    chance: float | None
    speed_up: float
    parts: Mapping[str, Part]
    studies: int
    without: Mapping[str, tuple[float, float]]


def compare(board: Board, one: str, other: str) -> Comparison:
    """Compare two entries of a board of the gradathlon protocol.

    Raises:
        RecordError: one of them is not on the board, or the board is another protocol's.
    """
    if board.protocol != "gradathlon":
        raise RecordError("entries are compared under the gradathlon protocol: no --protocol")
    first, second = _row(board, one), _row(board, other)
    parts = {name: _part(first, second, name) for name in board.workloads}
    met = [part.ratio for part in parts.values() if 0 < part.ratio < math.inf]
    a, b = board.scores[one], board.scores[other]
    return Comparison(
        scores=(first.score, second.score),
        difference=difference(a, b),
        chance=chance_of_better(a, b),
        speed_up=math.exp(-sum(map(math.log, met)) / len(met)) if met else math.nan,
        parts=parts,
        studies=min(
            (
                len(cell.study_times)
                for row in (first, second)
                for cell in row.cells.values()
                if cell.study_times
            ),
            default=0,
        ),
        without={name: (_without(first, name), _without(second, name)) for name in parts},
    )


def _row(board: Board, name: str) -> Row:
    for row in board.rows:
        if row.submission == name:
            return row
    names = [row.submission for row in board.rows]
    raise RecordError(f"{name!r} is not on the board{nearest(name, names)}")


def _part(one: Row, other: Row, workload: str) -> Part:
    a, b = one.cells[workload], other.cells[workload]
    ratio = a.time / b.time if a.time < math.inf and b.time < math.inf else math.nan
    known = None
    if math.isfinite(ratio) and min(len(a.study_times), len(b.study_times)) > 1:
        resampler = Resampler()
        times, others = (resampler.medians(dict(enumerate(c.study_times))) for c in (a, b))
        both = np.isfinite(times) & np.isfinite(others)
        known = interval(times[both] / others[both])
    return Part(a.time, b.time, ratio, known)


def _without(row: Row, workload: str) -> float:
    return mean_score({name: cell.ratio for name, cell in row.cells.items() if name != workload})
