"""Finding one hyperparameter point for several workloads at once.

1. Candidates: the defaults and quasi-random points of the submission's search space.
2. Halving over workloads (`ladder.py`), one seed each: candidates are ranked by their sum of the
   benchmark score over the workloads so far. A trial ends at four times the reference's time,
   beyond which it scores nothing, or as soon as its candidate can no longer be kept.
3. The best few on fresh seeds, on all workloads, none of them ended early: the benchmark score,
   its interval over redrawn seeds, and the probability of being the best of these.

The reference's time is the one that was measured when the target was set: no reference is raced.
Every trial is an ordinary one with a record; begun again, the procedure goes on where it stood.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

import workloads
from cluster.node_data import fetch_all
from cluster.spec import Finished, Stop, TrialSpec
from scoring.bootstrap import FEW, Resampler, Studies
from scoring.forecast import OPTIMISM
from scoring.gradathlon import Entry, score, workload_score
from scoring.ground.documents import ConfigError
from scoring.ground.words import Point, TrialKey, is_reference
from scoring.profiles import TAU_MAX
from scoring.ranking import Score, chances_of_best
from scoring.records import Record
from scoring.run_file import Holding, Suite
from scoring.seeds import trial_seed
from scoring.times import best_metric, time_to_result
from submissions.source import find
from suite.calibration.ladder import Part, Rung, kept, ladder, latest_ratio, total
from suite.calibration.order import Order, candidates
from suite.config import NamedSuite
from suite.plan import make_plan
from suite.races import Race, race_of
from suite.trials import Place, core_hours, race, record_of, tell_failures
from suite.tuning import with_defaults

SCREEN = 0
"""The study of the ladder's trials; the fresh seeds are the studies after it."""


@dataclasses.dataclass(frozen=True)
class Finalist:
    """A candidate that met the fresh seeds.

    Attributes:
        number: of the candidate.
        point: all of its hyperparameters, defaults included.
        score: the benchmark score over all workloads, with its spread.
        chance: the share of redrawn seeds with which it is the best finalist; None of one seed.
    """

    number: int
    point: Point
    score: Score
    chance: float | None


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a calibration found, best finalist first, and what it took.

    Attributes:
        tuned: the hyperparameters that it tuned.
        has_defaults: whether candidate 0 is the submission's defaults.
        climbed: of each rung, its workloads and the candidates kept, best first, with their totals.
        trials: how many were raced.
        pruned: how many of them ended early.
        core_hours: that all of them held.
    """

    order: Order
    submission: str
    tuned: tuple[str, ...]
    has_defaults: bool
    finalists: list[Finalist]
    climbed: list[tuple[Rung, dict[int, float]]]
    trials: int
    pruned: int
    core_hours: float


class Calibration:
    """The stages, each a set of ordinary trials in one folder.

    Raises:
        ConfigError: no search space, or a workload without a target.
        SubmissionError: a submission that cannot race.
    """

    def __init__(
        self, order: Order, folder: Path, place: Place, say: Callable[[str], None]
    ) -> None:
        self.order, self.place, self.say = order, place, say
        self.source = find(order.submission)
        self.points = candidates(self.source, order)
        self.specs = _specs(order, self.source.name, self.points, folder)
        whole = _specs(
            order.model_copy(update={"budget_factor": 1.0}), self.source.name, self.points, folder
        )
        races = {id: race_of(workloads.get(id)) for id in order.workloads}
        self.units = {key: _unit(spec, races[spec.workload]) for key, spec in whole.items()}
        for id, one in races.items():
            if why := one.foreign.get(self.source.framework):
                say(f"{id}: {why}, so times are relative to a quarter of its budget")
        self.parts: dict[int, dict[str, Part]] = {one: {} for one in range(len(self.points))}
        self.records: list[Record] = []
        for spec in self.specs.values():
            if spec.target is None or spec.target.value is None:
                raise ConfigError(
                    f"{spec.workload} has no target, so it cannot be scored; set one "
                    f"with: gradathlon set-targets {spec.workload}"
                )

    def run(self) -> Verdict:
        """Race all that is left to race; what came out.

        Raises:
            ConfigError: every trial failed.
            ClusterError: the place to race cannot be had.
        """
        if self.place.address is None:
            fetch_all(self.order.workloads)
        candidates = list(self.parts)
        climbed = []
        for rung in ladder(len(candidates), self.order.finalists, self.order.workloads):
            candidates = self._climb(rung, candidates)
            climbed.append((rung, {one: total(self.parts, one) for one in candidates}))
        if self.order.defaults and 0 not in candidates and not self.points[0]:
            candidates = [*candidates, 0]
        finalists = self._finals(candidates)
        ends = [record.outcome.end for record in self.records if record.outcome]
        return Verdict(
            order=self.order,
            submission=self.source.name,
            tuned=self.source.space.names if self.source.space else (),
            has_defaults=not self.points[0],
            finalists=finalists,
            climbed=climbed,
            trials=len(self.records),
            pruned=ends.count("pruned"),
            core_hours=core_hours(self.records),
        )

    def _climb(self, rung: Rung, candidates: list[int]) -> list[int]:
        names = ", ".join(rung.workloads)
        self.say(f"{names}: {len(candidates)} points, the best {rung.keep} go on")
        specs = [self._spec(id, SCREEN, one) for one in candidates for id in rung.workloads]

        optimism = OPTIMISM if self.order.prune == "forecast" else None

        def limits(spec: TrialSpec) -> Stop | None:
            latest = latest_ratio(self.parts, candidates, rung, spec.trial, spec.workload)
            if latest >= TAU_MAX:
                why = f"{TAU_MAX:g} times the reference's time"
                return Stop(TAU_MAX * self.units[spec.key], why, optimism)
            why = f"this point can no longer be among the best {rung.keep}"
            return Stop(latest * self.units[spec.key], why, optimism)

        def heard(trial: Finished) -> None:
            part = record_part(trial.spec, self.units[trial.spec.key])
            self.parts[trial.spec.trial][trial.spec.workload] = part

        self._look_at(race(specs, self.place, limits=limits, heard=heard))
        return kept(self.parts, candidates, rung.keep)

    def _finals(self, chosen: Sequence[int]) -> list[Finalist]:
        studies = range(1, self.order.seeds + 1)
        self.say(f"{len(chosen)} finalists on {self.order.seeds} fresh seeds, all workloads")
        specs = [
            self._spec(id, study, one)
            for study in studies
            for one in chosen
            for id in self.order.workloads
        ]
        records = race(specs, self.place)
        self._look_at(records)
        times: dict[int, dict[str, dict[int, float]]] = {one: {} for one in chosen}
        for spec, record in zip(specs, records, strict=True):
            ratio = _ratio(spec, record, self.units[spec.key])
            times[spec.trial].setdefault(spec.workload, {})[spec.study] = ratio
        yardstick: Mapping[str, Sequence[Studies]] = {
            id: [dict.fromkeys(studies, 1.0)] for id in self.order.workloads
        }
        resampler = Resampler()
        scores = [
            score(Entry(times[one], yardstick), self.order.workloads, resampler) for one in chosen
        ]
        chances = chances_of_best(scores)
        finalists = [
            Finalist(one, with_defaults(self.source, self.points[one]), its, chance)
            for one, its, chance in zip(chosen, scores, chances, strict=True)
        ]
        # Stable: of equals the one that the ladder had first.
        return sorted(finalists, key=lambda finalist: -finalist.score.score)

    def _spec(self, workload: str, study: int, candidate: int) -> TrialSpec:
        return self.specs[TrialKey(workload, self.source.name, study, candidate)]

    def _look_at(self, records: Sequence[Record]) -> None:
        """Keep the records; tell of failures, which score nothing."""
        self.records += records
        tell_failures(records, self.source.name, "score 0", self.say)


def record_part(spec: TrialSpec, unit: float) -> Part:
    """What an ended trial brought, in the reference's time `unit`."""
    record = record_of(spec)
    gain = float(workload_score(np.array(_ratio(spec, record, unit))))
    assert spec.target is not None
    best = best_metric(record.evaluations, spec.target)
    sign = 1.0 if spec.target.goal == "max" else -1.0
    return Part(gain, sign * best if math.isfinite(best) else -math.inf)


def _ratio(spec: TrialSpec, record: Record, unit: float) -> float:
    """The trial's time to its target over the reference's."""
    return time_to_result(record.header, record.evaluations).on(spec.clock) / unit


def _unit(spec: TrialSpec, race: Race) -> float:
    """The reference's time on the trial's clock, as measured with the target; of a whole budget."""
    if spec.budget.reference_steps is not None:
        return spec.budget.reference_steps / TAU_MAX
    reference = race.references.get(spec.source.framework)
    # Without enough seeds of its own: a budget is `TAU_MAX` times the reference's median.
    has_steps = reference is not None and len(reference.steps) >= FEW
    return (
        statistics.median(reference.steps)
        if reference and has_steps
        else spec.budget.steps / TAU_MAX
    )


def _specs(
    order: Order, name: str, points: Sequence[Point], folder: Path
) -> dict[TrialKey, TrialSpec]:
    """Every trial that may be asked for: a candidate is a trial, a seed a study."""
    suite = Suite(
        title=f"calibrating {name}",
        workloads=order.workloads,
        submissions=[order.submission],
        ruleset="external",
        studies=1 + order.seeds,
        trials=len(points),
        clock=order.clock,
        seed=order.seed,
        budget_factor=order.budget_factor,
        resources=Holding(cores=order.cores, gpus=order.gpus),
        points={name: list(points)},
    )
    planned = make_plan(NamedSuite(order.suite, suite), reference=order.clock == "paired")
    return {
        spec.key: dataclasses.replace(
            # Candidates of a study start alike, so that what a seed does to all cancels.
            spec,
            seed=trial_seed(order.seed, spec.workload, spec.study, 0),
        )
        for spec in planned.specs(folder)
        if not is_reference(spec.submission)
    }
