"""Scores with their uncertainty, and ranks that claim no more than the studies show.

An entry's rank is a set: from 1 + the number of significantly better entries to n - the number of
significantly worse ones (Mogstad et al. 2024, "Inference for ranks"). One entry is significantly
better than another when a paired Student t test over their studies' scores says so at 5 %,
corrected for the number of pairs (Holm 1979). The variance of a difference is bounded from below by
what the grid of evaluations and misses alone contribute. A single study claims nothing. The room's
README gives the rate of false claims among equal entries; `tests/benchmarks/coverage.py` measures
it.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from scoring.bootstrap import FEW, interval
from scoring.profiles import TAU_MAX

CLAIM = 0.05
"""The familywise error: at most this share of boards of equal entries separates any two."""
ROUNDING = 1e-9
"""Scores that differ by less are equal up to floating-point rounding."""
MOST = TAU_MAX / (TAU_MAX - 1.0)
"""The highest score, of an instant result; the lowest is 0, and two differ by no more."""


@dataclasses.dataclass(frozen=True)
class Score:
    """A submission's ratios by workload, its score, and the uncertainty of the score.

    Attributes:
        ratios: by workload.
        score: as the protocol defines it.
        redrawn: the score for each redrawn set of studies; empty where that is not known.
        studies: the score of every study by its number; empty where the protocol has none.
        least_variance: of a study's score, by the grid of evaluations and by misses alone.
        redraw: by workload, the ratio for each redrawn set of studies; empty where that is not
            known.
        divisors: by workload and study, the yardstick's time that the study's is divided by;
            empty where the protocol has none.
    """

    ratios: Mapping[str, float]
    score: float
    redrawn: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0))
    studies: Mapping[int, float] = dataclasses.field(default_factory=dict)
    least_variance: float = 0.0
    redraw: Callable[[str], np.ndarray] = lambda workload: np.empty(0)
    divisors: Mapping[str, Mapping[int, float]] = dataclasses.field(default_factory=dict)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The central 95 % of the resampled scores; None where there are none."""
        return interval(self.redrawn) if self.redrawn.size else None


@dataclasses.dataclass(frozen=True)
class Difference:
    """The difference of two scores over the studies that both have.

    Attributes:
        mean: of the paired differences of studies' scores.
        low: lower end of the 95 % interval of the mean, Student's t, within what two scores can
            differ by; infinite where nothing is known, of one study or where nothing varies.
        high: its upper end.
        p: two-sided probability of as large a difference between equals; 1 with one study, and
            where nothing varies.
    """

    mean: float
    low: float
    high: float
    p: float

    @property
    def held(self) -> bool:
        """Whether an end of the interval is what two scores can differ by, and not the studies'."""
        return self.low == -MOST or self.high == MOST


def difference(one: Score, other: Score) -> Difference:
    """The paired difference of two scores over their common studies."""
    from scipy import special  # scipy.stats takes a second to import

    common = sorted(one.studies.keys() & other.studies.keys())
    paired = np.array([one.studies[k] - other.studies[k] for k in common])
    mean = float(paired.mean()) if common else math.nan
    unknown = Difference(mean, -math.inf, math.inf, 1.0)
    if len(common) < 2:
        return unknown
    variance = max(float(paired.var(ddof=1)), one.least_variance + other.least_variance)
    error = math.sqrt(variance / len(common))
    freedom = len(common) - 1
    if error < ROUNDING:  # where nothing varies, nothing is known of how much it might
        return unknown
    half = float(special.stdtrit(freedom, 0.975)) * error
    p = 2.0 * float(special.stdtr(freedom, -abs(mean) / error))
    # What lies beyond is no possible difference, so that nothing is covered less.
    return Difference(mean, max(-MOST, mean - half), min(MOST, mean + half), p)


def chance_of_better(one: Score, other: Score) -> float | None:
    """The share of resampled studies in which `one` scores higher; ties count half.

    None where that is not known, or of fewer than `FEW` studies.
    """
    if not _can_tell([one, other]):
        return None
    wins = (one.redrawn > other.redrawn) + 0.5 * (one.redrawn == other.redrawn)
    return float(np.mean(wins))


def surely_better(scores: Sequence[Score]) -> np.ndarray:
    """Entry [i, j]: whether i is significantly better than j, at a familywise 5 %."""
    sure = np.zeros((len(scores), len(scores)), dtype=bool)
    tested = []
    for i, j in itertools.combinations(range(len(scores)), 2):
        gap = difference(scores[i], scores[j])
        tested.append((gap.p, *((i, j) if gap.mean > 0 else (j, i))))
    # Holm: the smallest p against the strictest bound, until one does not pass.
    for passed, (p, better, worse) in enumerate(sorted(tested)):
        if p > CLAIM / (len(tested) - passed):
            break
        sure[better, worse] = scores[better].score >= scores[worse].score
    return sure


def rank_sets(scores: Sequence[Score]) -> list[tuple[int, int]]:
    """The lowest and the highest rank that each score may have."""
    sure = surely_better(scores)
    return [
        (1 + int(sure[:, place].sum()), len(scores) - int(sure[place].sum()))
        for place in range(len(scores))
    ]


def ordered(scores: Sequence[Score]) -> list[tuple[int, int]]:
    """Ranks by the scores alone, shared only by equal ones: for protocols without uncertainty."""
    values = [one.score for one in scores]
    return [
        (1 + sum(other > own for other in values), sum(other >= own for other in values))
        for own in values
    ]


def chances_of_best(scores: Sequence[Score]) -> list[float | None]:
    """The share of resampled boards on which each is best; ties are split.

    None for all where one's is not known, or rests on fewer than `FEW` studies.
    """
    if not scores or not _can_tell(scores):
        return [None] * len(scores)
    drawn = np.stack([one.redrawn for one in scores])
    best = drawn == drawn.max(axis=0)
    return [float(share) for share in (best / best.sum(axis=0)).mean(axis=1)]


def _can_tell(scores: Sequence[Score]) -> bool:
    """Whether shares of the redrawn scores mean something.

    Two or three studies that happen to agree are redrawn to agree each time: 100 % of nothing.
    """
    return all(one.redrawn.size and len(one.studies) >= FEW for one in scores)
