"""The `gradathlon` protocol: ratios to a frozen reference, which no submission can change.

A submission's time on a workload is the median over studies of each study's fastest trial. Its
ratio `r` divides that by the time of the reference, tuned NadamW, of the same framework, so that
a framework's speed is not mistaken for an algorithm's, and with as many tries a study, so that luck
is not either. The score is the mean over workloads of `max(0, (4 - r) / 3)`, in which a workload
and its variants share one weight.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from scoring.bootstrap import Resampler, Studies
from scoring.profiles import TAU_MAX
from scoring.ranking import Score

Yardstick = Mapping[str, Sequence[Studies]]
"""The studies of each workload's references; of several, the fastest counts."""


def workload_score(ratios: np.ndarray) -> np.ndarray:
    """`max(0, (4 - r) / 3)`, elementwise: one workload's contribution to the score.

    It is the exact integral over tau in [1, 4] of the step function `tau >= r`, divided by 3,
    and goes on in the same line below r = 1: 1 is as fast as the tuned reference, 4/3 the limit
    of an instant result, 0 four times as slow or slower, or never.
    """
    return np.maximum(0.0, (TAU_MAX - np.asarray(ratios, dtype=float)) / (TAU_MAX - 1.0))


def weights(workloads: Iterable[str]) -> dict[str, float]:
    """Each workload's weight in the score: its base's, split among the base's variants."""
    names = list(workloads)
    of_base = Counter(name.partition("+")[0] for name in names)
    return {name: 1.0 / (len(of_base) * of_base[name.partition("+")[0]]) for name in names}


def mean_score(ratios: Mapping[str, float]) -> float:
    """The score of ratios by workload; NaN for none."""
    shares = weights(ratios)
    parts = [shares[name] * workload_score(np.array(ratio)) for name, ratio in ratios.items()]
    return float(sum(parts)) if parts else math.nan


@dataclasses.dataclass(frozen=True)
class Entry:
    """What one submission brings.

    Attributes:
        own: its studies by workload; times infinite where missed.
        yardstick: the reference's by workload, finite and above 0, for every workload that it met.
        tries: by workload, how many trials it had a study for each of the reference's; 1 where
            not said. The reference counts as if it had had as many, so that the fastest of
            several seeds is no advantage over it.
        grains: by workload, how coarsely its times are known: 0 where they were read off between
            evaluations.
        elsewhere: by workload and study, the yardstick of studies that were raced in another run,
            with another reference.
    """

    own: Mapping[str, Studies]
    yardstick: Yardstick
    tries: Mapping[str, float] = dataclasses.field(default_factory=dict)
    grains: Mapping[str, float] = dataclasses.field(default_factory=dict)
    elsewhere: Mapping[str, Mapping[int, Sequence[Studies]]] = dataclasses.field(
        default_factory=dict
    )

    def compared(self, workload: str) -> dict[int, Sequence[Studies]]:
        """The yardstick of each of its studies."""
        others = self.elsewhere.get(workload, {})
        return {study: others.get(study, self.yardstick[workload]) for study in self.own[workload]}


def score(entry: Entry, workloads: Sequence[str], resampler: Resampler) -> Score:
    """The score of one submission; a workload on which it has no study counts as missed.

    It has redrawn scores only where the submission and its references have two studies or more on
    each workload that it ran.

    Args:
        entry: the submission's studies and what they are compared to.
        workloads: those that the score is the weighted mean over.
        resampler: redraws the studies, its own and the reference's together.
    """
    own = entry.own
    ratios: dict[str, np.ndarray] = {}
    divisors: dict[str, dict[int, np.ndarray]] = {}
    for workload in workloads:
        if workload in own and workload in entry.yardstick:
            divisors[workload] = _divisors(entry, workload, resampler)
            ratios[workload] = resampler.medians(own[workload], divisors[workload])
        else:
            ratios[workload] = np.full(resampler.draws + 1, np.inf)
    shares = weights(workloads)
    parts = [shares[name] * workload_score(ratio) for name, ratio in ratios.items()]
    scores = np.sum(parts, axis=0)
    sets = [
        *own.values(),
        *(one for name in divisors for every in entry.compared(name).values() for one in every),
    ]
    has_interval = bool(sets) and all(len(studies) > 1 for studies in sets)
    fastest = {
        name: {study: float(times[0]) for study, times in by_study.items()}
        for name, by_study in divisors.items()
    }
    grains = [
        entry.grains.get(name, 0.0) / float(np.mean(list(times.values()))) * shares[name]
        for name, times in fastest.items()
    ]
    return Score(
        ratios={name: float(ratio[0]) for name, ratio in ratios.items()},
        score=float(scores[0]),
        redrawn=scores[1:] if has_interval else np.empty(0),
        studies=_by_study(own, fastest, shares),
        least_variance=sum((grain / (TAU_MAX - 1.0)) ** 2 for grain in grains) / 12.0
        + _of_misses(own, shares),
        redraw=functools.partial(_redrawn_ratios, entry, resampler),
        divisors=fastest,
    )


def _redrawn_ratios(entry: Entry, resampler: Resampler, workload: str) -> np.ndarray:
    """The ratio for each resampled set of studies; empty if any has a single study."""
    own = entry.own.get(workload, {})
    if workload not in entry.yardstick or len(own) < 2:
        return np.empty(0)
    sets = (one for every in entry.compared(workload).values() for one in every)
    if any(len(studies) < 2 for studies in sets):
        return np.empty(0)
    return resampler.medians(own, _divisors(entry, workload, resampler))[1:]


def _divisors(entry: Entry, workload: str, resampler: Resampler) -> dict[int, np.ndarray]:
    """By study, the time it is divided by, in the original and in every resample."""
    tries = entry.tries.get(workload, 1.0)
    cache: dict[int, np.ndarray] = {}
    divisors: dict[int, np.ndarray] = {}
    for study, yardstick in entry.compared(workload).items():
        if id(yardstick) not in cache:
            medians = [resampler.medians_of_fastest(one, tries) for one in yardstick]
            cache[id(yardstick)] = np.min(medians, axis=0)
        divisors[study] = cache[id(yardstick)]
    return divisors


def _of_misses(own: Mapping[str, Studies], shares: Mapping[str, float]) -> float:
    """The variance of a study's score due to misses alone; 0 if there are none.

    A workload missed in m of n studies is missed with a chance of (m + 1/2) / (n + 1): that the
    few studies missed alike is no proof that the next one would.
    """
    missed = {name: sum(time == np.inf for time in own[name].values()) for name in own}
    if not any(missed.values()):
        return 0.0
    chances = {name: (missed[name] + 0.5) / (len(own[name]) + 1.0) for name in own}
    return sum(shares[name] ** 2 * chance * (1.0 - chance) for name, chance in chances.items())


def _by_study(
    own: Mapping[str, Studies],
    fastest: Mapping[str, Mapping[int, float]],
    shares: Mapping[str, float],
) -> dict[int, float]:
    """The score of each study that covers every workload that any study covers."""
    ran = [set(studies) for studies in own.values()]
    return {
        study: sum(
            shares[name] * float(workload_score(np.array(own[name][study] / times[study])))
            for name, times in fastest.items()
        )
        for study in sorted(set.intersection(*ran) if ran else set())
    }
