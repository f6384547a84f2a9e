"""The stated procedure that gives a workload its target, budget and reference.

1. Screen: NadamW, AdamW and SGD (Nesterov), each at 16 quasi-random points of its search space,
   one seed, to half of the horizon. Points far behind are dropped: the best quarter goes on.
2. The survivors run to the horizon; the best 3 of all, and NadamW's best, then run on 3 more seeds.
3. The winner, and NadamW where another won, run on 10 fresh seeds, in torch and in JAX. One that
   falls behind the last of the survivors on any of them is unreliable (a rate at the edge of
   divergence wins on 3 seeds and fails on others): the next of the finalists takes its place.
4. The target is what the worst of all these runs reached, loosened by one standard deviation
   over seeds (so that fresh seeds, too, meet it in at least 90 % of runs: without this slack, a
   check on 20 others met it in 18) and rounded away from them; the budget is 4 times the slower
   framework's median steps and seconds of the winner.

Tuning is done in torch: parity carries it over. The horizon is the workload's `step_hint`.
Every trial is an ordinary trial with a record; begun again, the procedure goes on where it stood.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import workloads
from cluster import Executor, run_all
from cluster.hardware import fingerprint, versions
from cluster.spec import TrialSpec
from scoring.ground.words import Budget, Resources
from scoring.records import read_record, record_attempts
from submissions.source import Source, find
from suite.live import display
from suite.targets.statistics import (
    Curve,
    bests,
    digits,
    first_meeting,
    judged_curve,
    loosest,
    published_bests,
    spread,
    two_digits,
)
from suite.targets.write import Result, adopted_folder, write_result
from suite.tuning import Point, derive_seed, rounded, unit_points
from workloads.config import Race, WorkloadId
from workloads.contract import Workload
from workloads.errors import WorkloadError

ENTRANTS = {"nadamw": "nadamw_jax", "adamw": "adamw_jax", "sgd": "sgd_jax"}
"""The methods that are tuned, in torch, and their twins in JAX."""
REFERENCE = "nadamw"
POINTS = 16
SURVIVORS = len(ENTRANTS) * POINTS // 4
FINALISTS = 3
FINALIST_SEEDS = 3
FRESH_SEEDS = 10
BUDGET_FACTOR = 4
_FRESH = 1000
"""Fresh studies are numbered from here, so that no seed of the tuning comes again."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A method at one point of its search space."""

    submission: str
    index: int
    point: Point = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where and how the procedure runs.

    Attributes:
        folder: holds the procedure's own trials.
        output: holds a folder a family with the results; None puts them into the checkout.
        say: is told what is going on.
    """

    workload: str
    folder: Path
    output: Path | None
    executor: Executor
    address: str | None
    say: Callable[[str], None]


def set_targets(settings: Settings) -> Result:
    """Run the procedure, or the rest of it, and write its result.

    Raises:
        WorkloadError: no such workload, or its target cannot be set: a run failed or no run of
            the winner has a judged value; or it is to be put into an installed package.
    """
    workload = workloads.get(settings.workload)
    output = _output(settings, workload.id)
    workload.fetch()
    procedure = Procedure(settings, workload)
    survivors = procedure.screen()
    finalists = procedure.full_length(survivors)
    ranked = procedure.finals(finalists)
    winner, reference, fresh = procedure.fresh(ranked)
    result = _conclude(workload, procedure, winner, reference, fresh)
    path = write_result(output, workload.id, result)
    settings.say(f"{settings.workload}: target {result.published.target:g}, written into {path}")
    return result


def _output(settings: Settings, id: WorkloadId) -> Path:
    return adopted_folder(id) if settings.output is None else settings.output / id.family


class Procedure:
    """The stages, each a set of ordinary trials in one folder."""

    def __init__(self, settings: Settings, workload: Workload[Any]) -> None:
        self.settings = settings
        self.workload = workload
        self.metric = workload.metric
        self.horizon = workload.settings.step_hint
        period = workload.settings.evaluation_period
        self.half = max(1, self.horizon // (2 * period)) * period
        self.tuned: list[dict[str, Any]] = []
        self.unreliable: list[dict[str, Any]] = []
        self.last_survivor = math.nan

    def screen(self) -> list[Candidate]:
        """The best quarter of all points at half of the horizon."""
        candidates = [
            Candidate(name, index, point)
            for name in ENTRANTS
            for index, point in enumerate(self._points(find(name)))
        ]
        curves = self._race("half the horizon", [(c, 0) for c in candidates], self.half)
        values = {c: self._best(curves[c, 0]) for c in candidates}
        return self._ranked(values)[:SURVIVORS]

    def full_length(self, survivors: list[Candidate]) -> list[Candidate]:
        """The finalists: the best of the survivors at the horizon, and the best NadamW."""
        curves = self._race("the whole horizon", [(c, 0) for c in survivors], self.horizon)
        values = {c: self._best(curves[c, 0]) for c in survivors}
        ranked = self._ranked(values)
        self.last_survivor = values[ranked[-1]]
        self.tuned = [_told(c, digits(values[c])) for c in ranked]
        finalists = ranked[:FINALISTS]
        ours = [c for c in ranked if c.submission == REFERENCE]
        if not ours:
            raise WorkloadError(
                f"{self.settings.workload}: no point of {REFERENCE} is among the best "
                f"{SURVIVORS} at half the horizon; its search space does not fit this workload"
            )
        return finalists if ours[0] in finalists else [*finalists, ours[0]]

    def finals(self, finalists: list[Candidate]) -> list[Candidate]:
        """The finalists, best first, by the mean over more seeds."""
        entries = [(c, study) for c in finalists for study in range(1, FINALIST_SEEDS + 1)]
        curves = self._race("finalists", entries, self.horizon)
        values = {
            c: statistics.fmean(self._best(curves[c, s]) for k, s in entries if k == c)
            for c in finalists
        }
        return self._ranked(values)

    def fresh(self, ranked: list[Candidate]) -> tuple[Candidate, Candidate, dict[str, list[Curve]]]:
        """The winner, the best NadamW, and their curves on fresh seeds, in both frameworks."""
        left = list(ranked)
        while ours := [c for c in left if c.submission == REFERENCE]:
            winner, reference = left[0], ours[0]
            found = self._fresh_curves(dict.fromkeys([winner, reference]))
            unsteady = [c for c in found if not self._reliable(found[c])]
            if not unsteady:
                curves = {
                    name: runs for by_name in found.values() for name, runs in by_name.items()
                }
                return winner, reference, curves
            for candidate in unsteady:
                self._put_aside(candidate, found[candidate])
                left.remove(candidate)
        raise WorkloadError(
            f"{self.settings.workload}: every {REFERENCE} among the finalists fell behind the last "
            "of the survivors on a fresh seed; its runs differ more between seeds than points do"
        )

    def _fresh_curves(
        self, candidates: Iterable[Candidate]
    ) -> dict[Candidate, dict[str, list[Curve]]]:
        studies = range(_FRESH, _FRESH + FRESH_SEEDS)
        twins = {
            c: [c, dataclasses.replace(c, submission=ENTRANTS[c.submission])] for c in candidates
        }
        entries = [(k, study) for pair in twins.values() for study in studies for k in pair]
        curves = self._race("fresh seeds", entries, self.horizon)
        return {
            c: {k.submission: [curves[k, study] for study in studies] for k in pair}
            for c, pair in twins.items()
        }

    def _reliable(self, by_name: Mapping[str, list[Curve]]) -> bool:
        every = [curve for curves in by_name.values() for curve in curves]
        return all(
            self.metric.target(self.last_survivor).met_by(value)
            for value in bests(self.metric, every)
        )

    def _put_aside(self, candidate: Candidate, by_name: Mapping[str, list[Curve]]) -> None:
        bests = {name: published_bests(self.metric, runs) for name, runs in by_name.items()}
        self.unreliable.append(_told(candidate, bests))
        self.settings.say(
            f"{self.settings.workload}: {candidate.submission} at {dict(candidate.point)} fell "
            f"behind the last of the survivors ({self.last_survivor:.4g}) on a fresh seed; the "
            "next of the finalists takes its place"
        )

    def _points(self, source: Source) -> list[Point]:
        assert source.space is not None
        names = source.space.names
        cube = unit_points(len(names), POINTS, "targets", self.settings.workload)
        return [rounded(source.space.at(u)) for u in cube]

    def _race(
        self, stage: str, entries: Sequence[tuple[Candidate, int]], steps: int
    ) -> dict[tuple[Candidate, int], Curve]:
        settings = self.settings
        settings.say(f"{settings.workload}: {stage}, {len(entries)} trials of {steps} steps")
        specs = {entry: self._spec(*entry, steps) for entry in entries}
        chosen = list(specs.values())
        with display(chosen) as shown:
            ended = run_all(
                chosen, executor=settings.executor, address=settings.address, watch=shown.update
            )
            for trial in ended:
                shown.finish(trial)
        return {entry: self._curve(spec) for entry, spec in specs.items()}

    def _spec(self, candidate: Candidate, study: int, steps: int) -> TrialSpec:
        provisional = self.workload.settings.provisional_budget
        seed = derive_seed("targets", self.settings.workload, study)
        return TrialSpec(
            run=self.settings.folder,
            workload=self.settings.workload,
            submission=candidate.submission,
            source=find(candidate.submission),
            hyperparameters=candidate.point,
            study=study,
            trial=candidate.index,
            seed=seed,
            target=None,
            budget=Budget(steps, BUDGET_FACTOR * provisional.seconds),
            clock="steps",
            resources=Resources(),
            ruleset="targets",
        )

    def _curve(self, spec: TrialSpec) -> Curve:
        record = read_record(record_attempts(spec.run, spec.key)[-1])
        if record.outcome is None or record.outcome.end == "failed":
            reason = record.outcome.reason if record.outcome else "it did not end"
            raise WorkloadError(f"{record.path}: no target can be set: {reason}")
        # A later stage may have extended the trial: begun again, a stage sees what it first saw.
        seen = tuple(line for line in record.evaluations if line.steps <= spec.budget.steps)
        return judged_curve(dataclasses.replace(record, evaluations=seen), self.metric)

    def _best(self, curve: Curve) -> float:
        return bests(self.metric, [curve])[0]

    def _ranked(self, values: Mapping[Candidate, float]) -> list[Candidate]:
        sign = 1 if self.metric.goal == "min" else -1
        return sorted(values, key=lambda c: (sign * values[c], c.submission, c.index))


def _conclude(
    workload: Workload[Any],
    procedure: Procedure,
    winner: Candidate,
    reference: Candidate,
    fresh: Mapping[str, list[Curve]],
) -> Result:
    metric = workload.metric
    every = [curve for curves in fresh.values() for curve in curves]
    target = loosest(metric, every, max(spread(metric, curves) for curves in fresh.values()))
    hits = {
        name: [first_meeting(metric, curve, target) for curve in curves]
        for name, curves in fresh.items()
    }
    own = [winner.submission, ENTRANTS[winner.submission]]
    steps = max(statistics.median(hit[0] for hit in hits[name]) for name in own)
    seconds = max(statistics.median(hit[1] for hit in hits[name]) for name in own)
    published = Race.model_validate(
        {
            "target": target,
            "budget": {
                "steps": math.ceil(BUDGET_FACTOR * steps),
                "seconds": two_digits(BUDGET_FACTOR * seconds),
            },
            "reference": {
                "torch": {"submission": REFERENCE, "hyperparameters": reference.point},
                "jax": {"submission": ENTRANTS[REFERENCE], "hyperparameters": reference.point},
            },
        }
    )
    measured = {
        name: {
            "best": published_bests(metric, curves),
            "steps": [hit[0] for hit in hits[name]],
            "cpu_s": [round(hit[1], 2) for hit in hits[name]],
        }
        for name, curves in fresh.items()
    }
    return Result(published, _log(procedure, winner, measured))


def _log(
    procedure: Procedure, winner: Candidate, measured: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    hardware = fingerprint(Resources())
    return {
        "command": f"gradathlon set-targets {procedure.settings.workload}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "metric": procedure.metric.key,
        "horizon": procedure.horizon,
        "winner": winner.submission,
        "tuned": procedure.tuned,
        "unreliable": procedure.unreliable,
        "fresh": dict(measured),
        "hardware": {key: hardware[key] for key in ("cpu", "simd", "cores", "digest")},
        "versions": versions(),
    }


def _told(candidate: Candidate, best: object) -> dict[str, Any]:
    return {
        "submission": candidate.submission,
        "hyperparameters": candidate.point,
        "best": best,
    }
