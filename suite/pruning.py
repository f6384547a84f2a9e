"""Exact pruning of a run: each trial, just before it starts, is told when it may stop.

`board` stops a trial at the time of the fastest trial that its study has so far: a study's time is
its fastest trial's, so that the run's own board, with its intervals and ranks, is the one that the
whole race would have. `score` also stops what is beyond `TAU_MAX` times the reference, and what can
no longer move the median over studies: no score changes, to the last digit, but intervals and ranks
may see a missed study where the whole race has a slow one. The rules are `scoring.pruning`'s.
`forecast` also gives up trials whose learning curve promises too little, and may err: a trial that
would have met its target late counts as missed (`scoring.forecast`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from cluster.spec import Finished, Limits, Stop, TrialSpec
from scoring import pruning
from scoring.bootstrap import Resampler
from scoring.forecast import OPTIMISM
from scoring.ground.clocks import CLOCKS
from scoring.ground.ends import ENDS
from scoring.ground.words import is_reference, reference_of
from scoring.records import RecordError
from scoring.run_file import Plan
from scoring.times import ended_at, time_to_result
from suite.trials import record_of

Mode = Literal["board", "score", "forecast", "none"]
_WHY = {
    pruning.FASTEST: "a trial of its study took {} {}",
    pruning.REFERENCE: "{} {} is too far beyond the reference's time to score",
    pruning.MEDIAN: "beyond {} {} it can no longer change the median over studies",
}
_Entry = tuple[str, str]
"""Workload and submission."""


class Pruner:
    """What is known of a run's trials while it is raced."""

    def __init__(self, specs: Sequence[TrialSpec], mode: Mode, plan: Plan | None = None) -> None:
        self._mode = mode
        self._plan = plan
        self._left = Counter((spec.workload, spec.submission, spec.study) for spec in specs)
        self._planned = dict(self._left)
        self._best: dict[_Entry, dict[int, float]] = {}
        self._references: dict[_Entry, dict[int, float]] = {}
        self._studies: dict[_Entry, set[int]] = {}
        for workload, submission, study in self._left:
            self._studies.setdefault((workload, submission), set()).add(study)

    def limits(self) -> Limits | None:
        """What `run_all` asks; None where no trial could ever be stopped."""
        if self._mode == "board" and max(self._planned.values(), default=0) > 1:
            return self._by_fastest
        return self._by_all if self._mode in ("score", "forecast") else None

    def hear(self, trial: Finished) -> None:
        """A trial has ended."""
        spec = trial.spec
        entry, study = (spec.workload, spec.submission), spec.study
        self._left[(*entry, study)] -= 1
        try:
            record = record_of(spec)
        except RecordError:
            return  # counted as missed
        time = time_to_result(record.header, record.evaluations).on(spec.clock)
        best = self._best.setdefault(entry, {})
        best[study] = min(best.get(study, math.inf), time)
        if is_reference(spec.submission):
            # One that was stopped counts with that reading, as on the board.
            stopped = ENDS[trial.outcome.end].stopped
            time = ended_at(record).on(spec.clock) if stopped else time
            self._references.setdefault(entry, {})[study] = time

    def _by_fastest(self, spec: TrialSpec) -> Stop | None:
        return self._stop(spec, pruning.by_fastest(self._known(spec)), pruning.FASTEST)

    def _by_all(self, spec: TrialSpec) -> Stop | None:
        return self._stop(spec, *pruning.limit(self._known(spec)))

    def _stop(self, spec: TrialSpec, after: float, rule: str) -> Stop | None:
        aimless = spec.target is None or spec.target.value is None  # raced at equal budget
        optimism = OPTIMISM if self._mode == "forecast" else None
        if aimless or is_reference(spec.submission):
            return None
        if not math.isfinite(after):
            return None if optimism is None else Stop(after, "", optimism)
        why = _WHY[rule].format(f"{after:.4g}", CLOCKS[spec.clock].unit)
        return Stop(after, why, optimism)

    def _known(self, spec: TrialSpec) -> pruning.Known:
        entry = (spec.workload, spec.submission)
        studies = self._studies[entry]
        return pruning.Known(
            studies=len(studies),
            study=spec.study,
            best=self._best.get(entry, {}),
            ended=frozenset(study for study in studies if not self._left[(*entry, study)]),
            reference=self._reference(spec),
        )

    def _reference(self, spec: TrialSpec) -> float:
        """The time that the trial's is divided by; infinite until it can change no more."""
        entry = (spec.workload, reference_of(spec.source.framework))
        tries = float(self._planned[(spec.workload, spec.submission, spec.study)])
        # As on the board: `scoring.yardsticks`.
        ships = spec.clock == "paired" or (spec.clock == "steps" and entry not in self._studies)
        if ships and (steps := self._shipped(spec)):
            return float(Resampler(draws=0).medians_of_fastest(dict(enumerate(steps)), tries)[0])
        by_study = self._references.get(entry, {})
        if len(by_study) < len(self._studies.get(entry, ())) or not by_study:
            return math.inf
        times = {study: time for study, time in by_study.items() if 0 < time < math.inf}
        if len(times) < len(by_study):
            return math.inf
        return float(Resampler(draws=0).medians_of_fastest(times, tries)[0])

    def _shipped(self, spec: TrialSpec) -> list[float]:
        course = self._plan.workloads.get(spec.workload) if self._plan else None
        reference = course.references.get(spec.source.framework) if course else None
        return reference.steps if reference else []


def in_order(specs: Sequence[TrialSpec], mode: Mode) -> list[TrialSpec]:
    """The trials as they are to start, so that what ends early is known early.

    Where a study has several trials, those whose point is nearest to the submission's own defaults
    come first, in the places that its trials have: an author's defaults are seldom the slowest, and
    the first that meets the target bounds the others. Where scores are asked for, every reference
    comes before all else.
    """
    if mode == "none":
        return list(specs)
    studies: dict[tuple[str, str, int], list[TrialSpec]] = {}
    for spec in specs:
        studies.setdefault((spec.workload, spec.submission, spec.study), []).append(spec)
    nearest = {study: iter(sorted(trials, key=_distance)) for study, trials in studies.items()}
    ordered = [next(nearest[spec.workload, spec.submission, spec.study]) for spec in specs]
    if mode in ("score", "forecast"):
        ordered.sort(key=lambda spec: not is_reference(spec.submission))
    return ordered


def _distance(spec: TrialSpec) -> float:
    """How far a trial is from its submission's defaults: factors, on a logarithmic scale."""
    total = 0.0
    for name, usual in spec.source.defaults.items():
        value = spec.hyperparameters.get(name, usual)
        if isinstance(value, int | float) and isinstance(usual, int | float) and value * usual > 0:
            total += abs(math.log(value / usual))
        else:
            total += float(value != usual)
    return total
