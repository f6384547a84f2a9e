"""A set of ordinary trials raced together, and what their curves were worth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cluster import Executor
from cluster.spec import TrialSpec
from scoring.ground.words import Budget, Framework, Point, Resources, short
from scoring.records import Record
from scoring.seeds import derive_seed
from submissions.source import find
from suite import trials
from suite.races import REFERENCE_IN
from suite.targets.statistics import Curve, bests, judged_curve
from suite.trials import Place
from workloads.contract import Workload
from workloads.errors import WorkloadError

ENTRANTS = {REFERENCE_IN["torch"]: REFERENCE_IN["jax"], "adamw": "adamw_jax", "sgd": "sgd_jax"}
"""The methods that are tuned, in torch, and their twins in JAX."""
REFERENCE = REFERENCE_IN["torch"]
BUDGET_FACTOR = 4


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A method, by its name in torch, at one point of its search space."""

    method: str
    index: int
    point: Point = dataclasses.field(compare=False)

    def told(self, best: object) -> dict[str, object]:
        """For the log: what it is, with what it reached."""
        return {"submission": self.method, "hyperparameters": self.point, "best": best}


Entry = tuple[Candidate, int]
"""A candidate and the number of the seed that it is raced on."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where and how the procedure runs.

    Attributes:
        folder: holds the procedure's own trials.
        output: holds a folder a family with the results; None puts them into the checkout.
        say: is told what is going on.
        framework: the one that is tuned in.
        at_once: how many trials race at the same time; None is as many as there is room for.
        from_base: a variant races again the points that its base's target was set with.
        from_log: a version races again the points in the log of the one before it.
        points: how many of them; None is as many as the procedure states.
        fresh: seeds in the framework tuned in and in the other; None as the procedure states.
    """

    workload: str
    folder: Path
    output: Path | None
    executor: Executor
    say: Callable[[str], None]
    address: str | None = None
    framework: Framework = "torch"
    resources: Resources = Resources()  # noqa: RUF009 - frozen
    at_once: int | None = None
    from_base: bool = False
    from_log: Path | None = None
    points: int | None = None
    fresh: tuple[int, int] | None = None

    @property
    def command(self) -> str:
        """What asks for the same again, for the log."""
        words = [f"gradathlon set-targets {self.workload}"]
        words += ["--from-base"] * self.from_base + ["--from-log LOG"] * (self.from_log is not None)
        words += [f"--points {self.points}"] if self.points else []
        words += ["--fresh {} {}".format(*self.fresh)] if self.fresh else []
        return " ".join([*words, f"--framework {self.framework}"])


class Stages:
    """Races the stages of one workload's procedure, all in one folder."""

    def __init__(self, settings: Settings, workload: Workload) -> None:
        self.settings = settings
        self.workload = workload
        self.metric = workload.metric
        held = workload.settings.held
        self.horizon = workload.settings.step_hint
        self.length = self.horizon + (held.steps if held else 0)
        """Steps of a whole run: to the horizon, and to where a target met there must hold."""
        self.data = ""
        """The digest of what was raced on; empty until then, or where data are made as it goes."""

    def say(self, text: str) -> None:
        """Tell what is going on."""
        self.settings.say(f"{self.settings.workload}: {text}")

    def race(
        self, stage: str, entries: Sequence[Entry], steps: int, framework: Framework | None = None
    ) -> dict[Entry, Curve]:
        """Every entry's curve over so many steps; what was raced before is not raced again.

        Raises:
            WorkloadError: a trial failed, or was raced on other data than the others.
        """
        settings = self.settings
        self.say(f"{stage}, {len(entries)} trials of {steps} steps")
        framework = framework or settings.framework
        specs = {entry: self._spec(*entry, steps, framework) for entry in entries}
        place = Place(settings.executor, settings.address, settings.at_once)
        records = trials.race(list(specs.values()), place)
        return {
            entry: self._curve(specs[entry], record)
            for entry, record in zip(specs, records, strict=True)
        }

    def best(self, curve: Curve) -> float:
        """The best judged value of a curve."""
        return bests(self.metric, [curve])[0]

    def ranked(self, values: Mapping[Candidate, float]) -> list[Candidate]:
        """Candidates, best first; nan is last."""
        sign = 1 if self.metric.goal == "min" else -1

        def place(candidate: Candidate) -> tuple[bool, float, str, int]:
            value = sign * values[candidate]
            return value != value, value, candidate.method, candidate.index

        return sorted(values, key=place)

    def _spec(
        self, candidate: Candidate, study: int, steps: int, framework: Framework
    ) -> TrialSpec:
        name = ENTRANTS[candidate.method] if framework == "jax" else candidate.method
        provisional = self.workload.settings.provisional_budget
        return TrialSpec(
            run=self.settings.folder,
            workload=self.settings.workload,
            submission=name,
            source=find(name),
            hyperparameters=candidate.point,
            study=study,
            trial=candidate.index,
            seed=derive_seed("targets", self.settings.workload, study),
            target=None,
            budget=Budget(steps, BUDGET_FACTOR * provisional.seconds),
            clock="steps",
            resources=self.settings.resources,
            ruleset="targets",
        )

    def _curve(self, spec: TrialSpec, record: Record) -> Curve:
        if record.outcome is None or record.outcome.end == "failed":
            reason = record.outcome.reason if record.outcome else "it did not end"
            raise WorkloadError(f"{record.path}: no target can be set: {reason}")
        digest = record.header.data_sha256
        self.data = self.data or digest
        if digest != self.data:
            raise WorkloadError(
                f"{record.path}: raced on other data ({short(digest)}) than the trials "
                f"before it ({short(self.data)}); a target needs one data set: move "
                f"{self.settings.folder} away, and start again"
            )
        # A later stage may have extended the trial: begun again, a stage sees what it first saw.
        seen = tuple(line for line in record.evaluations if line.steps <= spec.budget.steps)
        return judged_curve(dataclasses.replace(record, evaluations=seen), self.metric)
