"""`RUN/run.yaml`: what a run was planned to be. The one place that knows its form.

What was planned is what is scored: the workloads, how many studies and trials, the targets.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Annotated, Literal

import pydantic

from scoring.ground.documents import Digest, Model, read_yaml
from scoring.ground.limit import Limit
from scoring.ground.words import Clock, Framework, Goal, Held, Point, Resources, Scalar, Target

NAME = "run.yaml"
TEXTS = "submissions"
"""Beside it in the run's folder, the folder of the submissions' texts."""


def _plain(name: str) -> str:
    if not name or name in (".", "..") or len(name) > 200 or set(name) & set("/\\\0"):
        raise ValueError(f"{name[:80]!r} is not a plain name: it would leave the run's folder")
    return name


Points = list[Point]
MOST = 1000
"""Studies, trials of a study, workloads, submissions, cores: more is a slip of the pen."""
Name = Annotated[str, pydantic.AfterValidator(_plain)]
"""What becomes part of a path inside the run's folder, and must not lead out of it."""


class Holding(Model):
    """What one trial holds alone."""

    cores: int = pydantic.Field(default=1, gt=0, le=MOST)
    gpus: int = pydantic.Field(default=0, ge=0, le=MOST)
    ranks: int = pydantic.Field(default=1, gt=0, le=MOST)
    """Processes of one trial, data-parallel, each with these cores and accelerators."""

    @property
    def lent(self) -> Resources:
        """As a trial is given it."""
        return Resources(**self.model_dump())


class StatedTarget(Model):
    """What a suite says of a workload in place of what `gradathlon set-targets` found."""

    target: float
    steps: int = pydantic.Field(gt=0)
    seconds: float = pydantic.Field(gt=0, allow_inf_nan=False)
    """With `steps`, the budget: after whichever is spent first a trial ends."""
    reference: dict[str, Scalar] = pydantic.Field(default_factory=dict)
    """The reference's hyperparameters; NadamW's defaults where none are stated."""


class Suite(Model):
    """The whole of a suite's YAML file."""

    title: str = pydantic.Field(max_length=200)
    workloads: list[str] = pydantic.Field(min_length=1, max_length=MOST)
    submissions: list[str] = pydantic.Field(min_length=1, max_length=MOST)
    """Built-in names, installed ones, or paths, which are relative to the suite's file."""
    ruleset: Literal["external", "self"]
    studies: int = pydantic.Field(gt=0, le=MOST)
    trials: int = pydantic.Field(1, gt=0, le=MOST)
    """Of each study; self tuning has one."""
    clock: Clock = "wall"
    seed: int = pydantic.Field(0, ge=0, lt=2**63)
    budget_factor: float | None = pydantic.Field(None, gt=0, le=1000)
    """On a workload's budget; None is 1 for external and 1.5 for self tuning, as in AlgoPerf."""
    resources: Holding = Holding()
    points: dict[str, Points] = pydantic.Field(default_factory=dict)
    """Fixed hyperparameter points of some submissions, tried in order instead of tuned ones."""
    points_on: dict[str, dict[str, Points]] = pydantic.Field(default_factory=dict)
    """The same on single workloads, by id and submission, before those of `points`."""
    targets: dict[str, StatedTarget] = pydantic.Field(default_factory=dict)
    """By workload. One that has none, here or of its own, is raced at equal budget."""

    @property
    def factor(self) -> float:
        """The factor on a workload's budget."""
        if self.budget_factor is not None:
            return self.budget_factor
        return 1.5 if self.ruleset == "self" else 1.0


class HeldText(Model):
    """How long a target must hold once it is met."""

    evaluations: int = pydantic.Field(gt=0)
    slack: float = pydantic.Field(0.0, ge=0, allow_inf_nan=False)


class TargetText(Model):
    """The metric to reach; `value` is null in a race at equal budget."""

    metric: str
    goal: Goal
    value: float | None
    held: HeldText | None = None

    @classmethod
    def of(cls, target: Target) -> TargetText:
        """A target, to be written down."""
        return cls.model_validate(dataclasses.asdict(target))

    def target(self) -> Target:
        """The inverse of `of`."""
        held = Held(**self.held.model_dump()) if self.held else None
        return Target(self.metric, self.goal, self.value, held)


class ReferenceEntrant(Model):
    """The frozen reference of a framework on a workload: a tuned submission, one trial a study."""

    file: Name
    hyperparameters: dict[str, Scalar]
    steps: list[float] = pydantic.Field(default_factory=list)
    """Steps in which it meets the target over fresh seeds, as they ship with the target."""
    data: Digest = ""
    """Of what these steps were measured on; empty where that is not known."""
    raced: bool = True
    """Whether it is raced beside the submissions; on the paired clock `steps` will do."""


class Course(Model):
    """A workload as it is raced: its target, its own budget, and its references."""

    target: TargetText
    budget: Limit
    references: dict[Framework, ReferenceEntrant]
    settings_sha256: str = ""
    """Of the workload's numbers; empty in plans of before."""


class Entrant(Model):
    """A submission as it races: the file that holds its text, and its points."""

    file: Name
    points: list[list[dict[str, Scalar]]]
    """By study, then by trial."""
    points_on: dict[str, list[list[dict[str, Scalar]]]] = pydantic.Field(default_factory=dict)
    """The same on single workloads, by id, in their place."""

    def on(self, id: str) -> list[list[dict[str, Scalar]]]:
        """The points on a workload, by study, then by trial."""
        return self.points_on.get(id, self.points)


class Text(Model):
    """A submission's text, kept in the run's folder under its file name."""

    name: str
    origin: str
    sha256: str


class Plan(Model):
    """All that decides a run's trials; kept in `run.yaml` for a resumed run to go on by."""

    name: str
    """The suite's."""
    suite: Suite
    workloads: dict[Name, Course]
    submissions: dict[Name, Entrant]
    texts: dict[Name, Text]
    """By file name."""


class RunFile(Plan):
    """The content of `run.yaml`: the plan, and the circumstances it was made in."""

    format: Literal[1] = 1
    date: str
    """ISO 8601, UTC."""
    versions: dict[str, str]
    hardware: dict[str, object]
    """Of the machine that planned the run; each record tells its own trial's."""

    @property
    def day(self) -> str:
        """The day on which the run began, as `2026-11-20`."""
        return self.date[:10]


def read(folder: Path) -> RunFile | None:
    """The plan of the run in `folder`, None where it has no `run.yaml`.

    Raises:
        ConfigError: it is damaged, with the line of the wrong key.
    """
    path = folder / NAME
    if not path.exists():
        return None
    about = path.stat()
    return _read(path, (about.st_size, about.st_mtime_ns, about.st_ctime_ns))


@functools.lru_cache(maxsize=8)
def _read(path: Path, state: tuple[int, ...]) -> RunFile:
    """What is in the file as long as its state is this one; a large plan takes a second."""
    return read_yaml(path, RunFile)
