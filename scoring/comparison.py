"""Two entries of a board compared: the difference with its interval, and what carries it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from scoring.board import Board, Cell, Row
from scoring.bootstrap import LEVEL, interval
from scoring.gradathlon import mean_score
from scoring.ground.errors import nearest
from scoring.ranking import CLAIM, Difference, Score, chance_of_better, difference
from scoring.records import RecordError


@dataclasses.dataclass(frozen=True)
class Part:
    """One workload, each entry's time and what it makes to that entry's own yardstick.

    Attributes:
        one: the first one's median time.
        other: the second one's.
        ratios: of both to their yardsticks.
        ratio: the first ratio over the second, so that what a machine or a framework does to an
            entry and to its yardstick alike cancels; NaN where either missed.
        interval: of `ratio`, None if unknown, or where too many redrawn studies miss.
    """

    one: float
    other: float
    ratios: tuple[float, float]
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
        speed_up: geometric mean over the workloads that both met of 1 / `Part.ratio`; NaN if there
            is none.
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

    @property
    def surely(self) -> bool:
        """Whether the difference is significant, for this pair alone."""
        sign = (self.scores[0] - self.scores[1]) * self.difference.mean
        return self.difference.p <= CLAIM and sign > 0


def compare(board: Board, one: str, other: str) -> Comparison:
    """Compare two entries of a board of the gradathlon protocol.

    Raises:
        RecordError: one of them is not on the board, or the board is another protocol's.
    """
    if board.protocol != "gradathlon":
        raise RecordError("submissions can be compared under the gradathlon protocol only")
    first, second = _row(board, one), _row(board, other)
    a, b = board.scores[one], board.scores[other]
    parts = {name: _part(first.cells[name], second.cells[name], a, b) for name in board.workloads}
    met = [part.ratio for part in parts.values() if 0 < part.ratio < math.inf]
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


def _part(one: Cell, other: Cell, a: Score, b: Score) -> Part:
    both_met = math.isfinite(one.ratio) and math.isfinite(other.ratio)
    ratio = one.ratio / other.ratio if both_met else math.nan
    known = None
    ratios, others = a.redraw(one.workload), b.redraw(one.workload)
    if both_met and ratios.size and others.size:
        both = np.isfinite(ratios) & np.isfinite(others)
        # Of the redrawn sets that met alone it would be too narrow: those that missed are far off.
        if both.mean() >= LEVEL:
            known = interval(ratios[both] / others[both])
    return Part(one.time, other.time, (one.ratio, other.ratio), ratio, known)


def _without(row: Row, workload: str) -> float:
    return mean_score({name: cell.ratio for name, cell in row.cells.items() if name != workload})
