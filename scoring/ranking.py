"""Scores with what is known of their spread, and ranks that show ties as ties."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from scoring.bootstrap import interval


@dataclasses.dataclass(frozen=True)
class Score:
    """A submission's ratios by workload, its score, and the score for each redrawn set of studies.

    `redrawn` is empty where nothing is known of the spread.
    """

    ratios: Mapping[str, float]
    score: float
    redrawn: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0))

    @property
    def interval(self) -> tuple[float, float] | None:
        """The central 95 % of the redrawn scores, None where there are none."""
        return interval(self.redrawn) if self.redrawn.size else None


def told_apart(better: Score, worse: Score) -> bool:
    """Whether the studies tell two scores apart: the 95 % interval of their difference is above 0.

    Where either has no interval, whether the two differ at all.
    """
    if better.redrawn.size and worse.redrawn.size:
        return interval(better.redrawn - worse.redrawn)[0] > 0
    return better.score != worse.score


def ranks(scores: Sequence[Score]) -> list[int]:
    """Ranks of scores that stand best first: 1, 1, 3 where the first two are tied.

    Down the list, a score joins the rank above it when the best score of that rank cannot be told
    apart from it; else it opens a rank of its own. So nobody shares a rank with a score that is
    surely better, which joining neighbour to neighbour would allow.
    """
    given: list[int] = []
    for position, one in enumerate(scores, start=1):
        best = scores[given[-1] - 1] if given else None
        tied = best is not None and not told_apart(best, one)
        given.append(given[-1] if tied else position)
    return given
