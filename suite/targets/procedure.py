"""The stated procedure that gives a workload its target, budget and reference.

1. Tune, in one framework and on one seed, by successive halving: NadamW at 16 quasi-random points
   of its search space, AdamW and SGD (Nesterov) at 8, to an eighth of the horizon. The better half
   goes on to a quarter, the better half of those to a half, and of those to the horizon; NadamW
   never has fewer than a quarter of the places.
2. The best 2 of all, and NadamW's best, run on 2 more seeds.
3. The winner, and NadamW where another won, run on 8 fresh seeds in the framework tuned in, and
   on 5 of them in the other. One that does not even reach on all of them what every point tuned to
   a half of the horizon had reached there, less 3 standard deviations (from the median deviation,
   which a few failures do not widen), is unreliable (a rate at the edge of divergence wins on 3
   seeds and fails on others): the next of the finalists takes its place.
   Where a target must hold, the winner alone runs here and is the reference: NadamW may hold so
   little that a target for it, too, would be met by all at once.
4. The target is what the worst of all these runs reached, loosened by one standard deviation
   over seeds (so that fresh seeds, too, meet it in at least 90 % of runs: without this slack, a
   check on 20 others met it in 18) and rounded away from them; the budget is 4 times the
   median steps and seconds of the slower framework, and of the slower of winner and reference.

With `from_base`, a variant tunes nothing: the best 3 points that its base was tuned to, and the
base's reference, run to the horizon in place of 1; 2 is left out, and in 3 there are 5 seeds, and 2
in the other framework.
So does a new version `from_log` with the points in the log of the version before it, or a larger
scale with those of a smaller one. `points` and `fresh` ask for fewer of either, or for more.

Parity carries tuning over to the other framework. The horizon is the workload's `step_hint`.
Every trial is an ordinary trial with a record; begun again, the procedure goes on where it stood.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

import workloads
from cluster.node_data import fetch_once
from cluster.run_lock import drive_throughout
from scoring.ground.files import read_text
from scoring.ground.words import Facts, Framework, Point
from submissions.source import Source, find
from suite.targets.conclusion import conclude
from suite.targets.stages import ENTRANTS, REFERENCE, Candidate, Settings, Stages
from suite.targets.statistics import (
    Curve,
    bests,
    digits,
    median_deviation,
    published_bests,
    up_to,
)
from suite.targets.write import Result, adopted_folder, write_result
from suite.tuning import rounded, unit_points
from workloads.config import Reference, WorkloadId
from workloads.errors import WorkloadError

POINTS = {"nadamw": 16, "adamw": 8, "sgd": 8}
HALF = 2
RUNGS = (8, 4, HALF, 1)
"""Shares of the horizon at which the worse half is dropped, and the horizon."""
FINALISTS = 2
FINALIST_SEEDS = 2
FRESH_SEEDS = 8, 5
"""In the framework tuned in, and in the other."""
UNRELIABLE = 3.0
"""Standard deviations by which a fresh seed may fall short."""
BASE_POINTS = 3
BASE_FRESH_SEEDS = 5, 2
FRESH = 1000
"""Fresh studies are numbered from here, so that no seed of the tuning comes again."""
FreshCurves = dict[Candidate, dict[str, list[Curve]]]
"""By candidate, and by the submission's name in each framework."""


def set_targets(settings: Settings) -> Result:
    """Run the procedure, or the rest of it, and write its result.

    Raises:
        WorkloadError: no such workload, or its target cannot be set: a run failed or no run of
            the winner has a judged value; or it is to be put into an installed package; or it
            has no base, or a base without a target, where it is to be set from that.
    """
    workload = workloads.get(settings.workload)
    id = workload.id
    output = adopted_folder(id) if settings.output is None else settings.output / id.family
    count = settings.points or BASE_POINTS
    base = _base_points(id, count) if settings.from_base else None
    if settings.from_log is not None:
        base = _log_points(settings.from_log, count)
    fetch_once(workload)
    procedure = Procedure(Stages(settings, workload))
    with drive_throughout(settings.folder, settings.say):
        if base is not None:
            ranked = procedure.again(base)
            winner, reference, fresh = procedure.fresh(ranked, settings.fresh or BASE_FRESH_SEEDS)
        else:
            ranked = procedure.finals(procedure.tune())
            winner, reference, fresh = procedure.fresh(ranked, settings.fresh or FRESH_SEEDS)
    log = {"tuned": procedure.tuned, "unreliable": procedure.unreliable}
    result = conclude(procedure.stages, winner, reference, fresh, log)
    path = write_result(output, id, result)
    settings.say(f"{settings.workload}: target {result.published.target:g}, written to {path}")
    return result


class Procedure:
    """Tuning, finals and fresh seeds."""

    def __init__(self, stages: Stages) -> None:
        self.stages = stages
        self.metric = stages.metric
        self.tuned: list[dict[str, object]] = []
        self.unreliable: list[dict[str, object]] = []
        self.least = math.nan
        """What the last of the points that were tuned to half of the horizon reached there."""

    def tune(self) -> list[Candidate]:
        """The candidates that came to the horizon, best first.

        Raises:
            WorkloadError: a trial failed.
        """
        candidates = [
            Candidate(name, index, point)
            for name in ENTRANTS
            for index, point in enumerate(self._points(find(name), POINTS[name]))
        ]
        for share in RUNGS:
            steps = self.rung(share)
            curves = self.stages.race(
                f"1/{share} of the horizon", [(c, 0) for c in candidates], steps
            )
            values = {c: self.stages.best(curves[c, 0]) for c in candidates}
            candidates = self.stages.ranked(values)
            if share == HALF:
                self._note_least(curves.values())
            if share != RUNGS[-1]:
                candidates = better_half(candidates)
        self._note(candidates, values)
        return candidates

    def rung(self, share: int) -> int:
        """The steps of that share of the horizon: whole periods, and enough to be judged."""
        period = self.stages.workload.settings.evaluation_period
        return max(self.metric.window, self.stages.length // (share * period)) * period

    def again(self, points: list[Candidate]) -> list[Candidate]:
        """A base's points, best first."""
        curves = self.stages.race("the base's points", [(c, 0) for c in points], self.stages.length)
        values = {c: self.stages.best(curves[c, 0]) for c in points}
        ranked = self.stages.ranked(values)
        self._note_least(curves.values())
        self._note(ranked, values)
        return ranked

    def finals(self, ranked: list[Candidate]) -> list[Candidate]:
        """The finalists, best first, by the mean over all their seeds."""
        chosen = ranked[:FINALISTS]
        ours = next(c for c in ranked if c.method == REFERENCE)
        chosen = chosen if ours in chosen else [*chosen, ours]
        entries = [(c, study) for c in chosen for study in range(FINALIST_SEEDS + 1)]
        curves = self.stages.race("finalists", entries, self.stages.length)
        values = {
            c: statistics.fmean(self.stages.best(curves[c, s]) for k, s in entries if k == c)
            for c in chosen
        }
        return self.stages.ranked(values)

    def fresh(
        self, ranked: list[Candidate], seeds: tuple[int, int]
    ) -> tuple[Candidate, Candidate, dict[str, list[Curve]]]:
        """The winner, the reference, and their curves on fresh seeds, in both frameworks.

        Raises:
            WorkloadError: a trial failed, or every reference among the finalists was unreliable.
        """
        candidates = list(ranked)
        while ours := [c for c in candidates if self.metric.held or c.method == REFERENCE]:
            winner, reference = candidates[0], ours[0]
            curves = self._fresh_curves(dict.fromkeys([winner, reference]), seeds)
            unsteady = [c for c in curves if not self._reliable(curves[c])]
            if not unsteady:
                return (
                    winner,
                    reference,
                    {n: runs for by in curves.values() for n, runs in by.items()},
                )
            for candidate in unsteady:
                self._put_aside(candidate, curves[candidate])
                candidates.remove(candidate)
        raise WorkloadError(
            f"{self.stages.settings.workload}: every reference among the finalists failed on a "
            "fresh seed; its runs vary more between seeds than between points"
        )

    def _fresh_curves(self, candidates: Iterable[Candidate], seeds: tuple[int, int]) -> FreshCurves:
        own: Framework = self.stages.settings.framework
        other: Framework = "jax" if own == "torch" else "torch"
        fresh: FreshCurves = {c: {} for c in candidates}
        for framework, count in zip((own, other), seeds, strict=True):
            if not count:
                continue
            studies = range(FRESH, FRESH + count)
            entries = [(c, study) for c in fresh for study in studies]
            curves = self.stages.race(
                f"fresh seeds, {framework}", entries, self.stages.length, framework
            )
            for c in fresh:
                name = ENTRANTS[c.method] if framework == "jax" else c.method
                fresh[c][name] = [curves[c, study] for study in studies]
        return fresh

    def _reliable(self, by_name: Mapping[str, list[Curve]]) -> bool:
        every = [curve for curves in by_name.values() for curve in curves]
        reached = bests(self.metric, every)
        allowed = UNRELIABLE * median_deviation(reached)
        least = self.least + (allowed if self.metric.goal == "min" else -allowed)
        return all(self.metric.target(least).met_by(value) for value in reached)

    def _put_aside(self, candidate: Candidate, by_name: Mapping[str, list[Curve]]) -> None:
        reached = {name: published_bests(self.metric, runs) for name, runs in by_name.items()}
        self.unreliable.append(candidate.told(reached))
        self.stages.say(
            f"{candidate.method} at {dict(candidate.point)} did not reach on every fresh seed what "
            f"the points tuned to half of the horizon reached there ({self.least:.4g}); the next "
            "finalist takes its place"
        )

    def _note(self, ranked: list[Candidate], values: Mapping[Candidate, float]) -> None:
        self.tuned = [c.told(digits(values[c])) for c in ranked if math.isfinite(values[c])]

    def _note_least(self, curves: Iterable[Curve]) -> None:
        cut = [up_to(curve, self.rung(HALF)) for curve in curves]
        reached = [value for value in bests(self.metric, cut) if math.isfinite(value)]
        if reached:
            self.least = (max if self.metric.goal == "min" else min)(reached)

    def _points(self, source: Source, count: int) -> list[Point]:
        assert source.space is not None
        names = source.space.names
        cube = unit_points(len(names), count, "targets", self.stages.settings.workload)
        return [rounded(source.space.at(u)) for u in cube]


def better_half(ranked: list[Candidate]) -> list[Candidate]:
    """The better half, a quarter of which at least is the reference's."""
    count = len(ranked) // 2
    half = ranked[:count]
    ours = [c for c in ranked if c.method == REFERENCE][: math.ceil(count / 4)]
    missing = [c for c in ours if c not in half]
    for candidate in missing:
        half.remove([c for c in half if c.method != REFERENCE][-1])
        half.append(candidate)
    return half


def _base_points(id: WorkloadId, count: int) -> list[Candidate]:
    """The best points that a variant's base was tuned to, and the base's reference.

    Raises:
        WorkloadError: it is no variant, or one with a task of its own; or the base has no target.
    """
    family = workloads.family(id.family)
    base = dataclasses.replace(id, variant=None)
    if id.variant is None or id.variant in family.tasks:
        raise WorkloadError(
            f"{id}: shares its task with no other workload; set its target without --from-base"
        )
    log, race = family.procedure(base), workloads.get(str(base)).race
    if log is None or race is None:
        raise WorkloadError(
            f"{base} has no target yet; set one with: gradathlon set-targets {base}"
        )
    return _told(log, race.reference["torch"], count)


def _log_points(path: Path, count: int) -> list[Candidate]:
    """The best points of a log, and the best of the reference's among them.

    Raises:
        WorkloadError: it is no log of this procedure, or none of its points is the reference's.
    """
    try:
        log = json.loads(read_text(path))
        ours = [t["hyperparameters"] for t in log["tuned"] if t["submission"] == REFERENCE]
        return _told(log, Reference(submission=REFERENCE, hyperparameters=ours[0]), count)
    except (OSError, ValueError, LookupError, TypeError):
        raise WorkloadError(
            f"{path}: not a set-targets log with a point of {REFERENCE}; give a "
            "<race>.procedure.json"
        ) from None


def _told(log: Facts, reference: Reference, count: int) -> list[Candidate]:
    points = [(t["submission"], t["hyperparameters"]) for t in log["tuned"][:count]]
    own = (reference.submission, reference.hyperparameters)
    if own not in points:
        points.append(own)
    return [Candidate(name, index, point) for index, (name, point) in enumerate(points)]
