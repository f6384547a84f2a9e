"""Uncertainty of scores: the bootstrap over studies.

A study, an independent repetition of tuning, is the unit that is drawn again with replacement
(Efron 1979). Submissions with the same studies are drawn together, so that what a seed does to
all of them cancels in their differences; and on all workloads together, so that what a study's
hyperparameter points do to all workloads does not.

A percentile interval of few studies is too narrow: the room's README tells by how much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

DRAWS = 2000
SEED = 20260101
LEVEL = 0.95
FEW = 5
"""With fewer studies, intervals are too narrow."""

Studies = Mapping[int, float]
"""Time-to-result by study number; infinite if missed."""


class Resampler:
    """Medians over studies: of the original set, and of many resampled sets.

    Index 0 of every answer is the studies as they were; 1 to `draws` are redrawn. The answer
    depends on the study numbers and their times alone, not on the order of questions.
    """

    def __init__(self, draws: int = DRAWS, seed: int = SEED) -> None:
        self.draws = draws
        self.seed = seed
        self._indices: dict[tuple[int, ...], np.ndarray] = {}
        self._fastest: dict[tuple[object, ...], np.ndarray] = {}

    def medians(
        self, times: Studies, divisors: Mapping[int, np.ndarray] | None = None
    ) -> np.ndarray:
        """Shape (draws + 1,): the median over studies; infinite where most studies missed.

        With divisors, by study and of that shape, of times divided by them.
        """
        studies = tuple(sorted(times))
        values = np.array([times[study] for study in studies], dtype=float)
        drawn = self._drawn(studies)
        if divisors is None:
            return np.median(values[drawn], axis=1)
        by_study = [divisors[study] for study in studies]
        if all(one is by_study[0] for one in by_study):
            return np.median(values[drawn], axis=1) / by_study[0]
        divided = values[drawn] / np.take_along_axis(np.stack(by_study, axis=1), drawn, axis=1)
        return np.median(divided, axis=1)

    def medians_of_fastest(self, times: Studies, tries: float) -> np.ndarray:
        """Medians over studies as if each were the fastest of `tries` times as many trials.

        The fastest of k independent trials has its median where one trial has its quantile
        1 - 2^(-1/k). All times must be finite.
        """
        if tries == 1.0:
            return self.medians(times)
        question = (tries, *sorted(times.items()))
        if question not in self._fastest:  # every entry asks it of the same references
            studies = tuple(sorted(times))
            values = np.array([times[study] for study in studies], dtype=float)
            share = 1.0 - 0.5 ** (1.0 / tries)
            drawn = values[self._drawn(studies)]
            fastest = np.quantile(drawn, share, axis=1, method="median_unbiased")
            fastest.flags.writeable = False
            self._fastest[question] = fastest
        return self._fastest[question]

    def _drawn(self, studies: tuple[int, ...]) -> np.ndarray:
        if studies not in self._indices:
            count = len(studies)
            generator = np.random.default_rng([self.seed, *studies])
            again = generator.integers(0, count, (self.draws, count))
            self._indices[studies] = np.concatenate([np.arange(count)[None], again])
        return self._indices[studies]


def interval(draws: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The central 95 % of resampled scores (percentile method)."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
