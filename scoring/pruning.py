"""Exact pruning: when a trial can no longer change a score, it may stop.

Pure functions of what is known so far. Whatever is stopped at its limit counts as missed, and the
`gradathlon` score of the pruned race is that of the full one, to the last digit. (Intervals, and
the ranks made of them, may see a missed study where the full race has a slow one.)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

from scoring.profiles import TAU_MAX


@dataclasses.dataclass(frozen=True)
class Known:
    """The state of one submission on one workload while a trial of `study` runs.

    Attributes:
        studies: how many were planned.
        study: the running trial's.
        best: the fastest time so far of each study that has one, infinite where all missed.
        ended: studies whose trials have all ended.
        reference: the time that the submission's is divided by.
    """

    studies: int
    study: int
    best: Mapping[int, float]
    ended: frozenset[int]
    reference: float


def by_fastest(facts: Known) -> float:
    """The study's fastest trial so far: a study's time is its fastest trial's."""
    return facts.best.get(facts.study, math.inf)


def by_reference(facts: Known, tau_max: float = TAU_MAX) -> float:
    """`tau_max` times the reference, beyond which a time scores 0.

    With an even number of studies the median is the mean of two, of which the other may be faster:
    then twice as much.
    """
    return facts.reference * tau_max * (1 if facts.studies % 2 else 2)


def by_median(facts: Known) -> float:
    """An upper bound of the median over studies; 0 if it is already infinite."""
    others = {study: time for study, time in facts.best.items() if study != facts.study}
    needed = facts.studies // 2 + 1
    missed = sum(others.get(study, math.inf) == math.inf for study in facts.ended - {facts.study})
    if missed >= (facts.studies + 1) // 2:
        return 0.0
    times = sorted(others.values())
    return times[needed - 1] if len(times) >= needed else math.inf


FASTEST, REFERENCE, MEDIAN = "fastest of the study", "reference", "median"
RULES = {FASTEST: by_fastest, REFERENCE: by_reference, MEDIAN: by_median}
"""Rules by name; the first that stops a trial is reported."""


def limit(facts: Known) -> tuple[float, str]:
    """The time after which the trial may stop, and the rule that says so."""
    limits = [(rule(facts), name) for name, rule in RULES.items()]
    return min(limits, key=lambda pair: pair[0])


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trial of a full race: its study, its time to the target, and how long it ran."""

    study: int
    time: float
    ran: float


@dataclasses.dataclass(frozen=True)
class Replayed:
    """A race replayed with pruning: each study's time, and the seconds saved by each rule."""

    times: dict[int, float]
    saved: dict[str, float]


def replay(trials: Iterable[Trial], studies: int, reference: float) -> Replayed:
    """One submission on one workload, its trials in the order in which they are run."""
    order: Sequence[Trial] = list(trials)
    best: dict[int, float] = {}
    saved = dict.fromkeys(RULES, 0.0)
    remaining = {study: sum(one.study == study for one in order) for study in range(studies)}
    for trial in order:
        ended = frozenset(study for study, count in remaining.items() if count == 0)
        stop, rule = limit(Known(studies, trial.study, best, ended, reference))
        cost = min(trial.ran, trial.time)
        time = trial.time if trial.time <= stop else math.inf
        saved[rule] += max(0.0, cost - stop)
        best[trial.study] = min(best.get(trial.study, math.inf), time)
        remaining[trial.study] -= 1
    return Replayed(best, saved)
