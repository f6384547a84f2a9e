"""The part common to all families' files: scales and variants, targets and budgets."""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

import pydantic

from scoring.ground.documents import ConfigError, Digest, Document, Model, read_yaml
from scoring.ground.errors import nearest
from scoring.ground.limit import Limit
from scoring.ground.words import Facts, Framework, Goal, Held, Scalar
from workloads.errors import WorkloadError
from workloads.metric import Metric

ID = re.compile(
    r"(?P<family>[a-z][a-z0-9_]*)-(?P<scale>[a-z]+)-v(?P<version>\d{1,6})(?:\+(?P<variant>[a-z0-9_]+))?"
)
ScaleName = Literal["toy", "laptop", "standard"]


@dataclasses.dataclass(frozen=True)
class WorkloadId:
    """The parts of an id such as `lm-toy-v2+postnorm`."""

    family: str
    scale: str
    version: int
    variant: str | None = None

    def __str__(self) -> str:
        suffix = f"+{self.variant}" if self.variant else ""
        return f"{self.family}-{self.scale}-v{self.version}{suffix}"

    @property
    def race(self) -> str:
        """The name of this workload's target among its family's `targets/`."""
        return f"{self.scale}+{self.variant}" if self.variant else self.scale

    @classmethod
    def parse(cls, text: str) -> WorkloadId:
        """Split an id.

        Raises:
            WorkloadError: not of the form `family-scale-v1` or `family-scale-v1+variant`.
        """
        match = ID.fullmatch(text)
        if match is None:
            raise WorkloadError(
                f"{text!r} is not a workload id: expected family-scale-v1 or "
                "family-scale-v1+variant, as in lm-toy-v2"
            )
        return cls(match["family"], match["scale"], int(match["version"]), match["variant"])


class Compute(Model):
    """How the models run: fixed per scale, the same for every submission."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    """Whether torch models are compiled too (JAX always is)."""


class Holding(Model):
    """How long a target must hold once met, for workloads that test retention."""

    steps: pydantic.PositiveInt
    """A whole number of evaluation periods; at each evaluation the target must still hold."""
    slack: pydantic.NonNegativeFloat = 0.0
    """How far the judged value may fall short of the target meanwhile."""


class Scale(Model):
    """The settings common to all scales; families add `data` and `model`."""

    batch_size: pydantic.PositiveInt
    evaluation_period: pydantic.PositiveInt
    """Steps between evaluations."""
    step_hint: pydantic.PositiveInt
    """The horizon for schedules: the length of the target-setting runs, in steps."""
    metric_window: pydantic.PositiveInt = 1
    held: Holding | None = None
    compute: Compute = Compute()
    provisional_budget: Limit
    """Used until `gradathlon set-targets` has measured one."""

    @property
    def held_evaluations(self) -> Held | None:
        """How long a target must hold, in evaluations."""
        if self.held is None:
            return None
        return Held(self.held.steps // self.evaluation_period, self.held.slack)

    @pydantic.model_validator(mode="after")
    def _whole_evaluations(self) -> Scale:
        if self.held is not None and self.held.steps % self.evaluation_period:
            raise ValueError(
                f"held.steps {self.held.steps} is not a whole number of evaluation periods; "
                f"make it a multiple of {self.evaluation_period}"
            )
        return self


class Reference(Model):
    """A tuned hyperparameter point of the frozen reference (NadamW, or SGD) for one framework."""

    submission: str
    hyperparameters: dict[str, Scalar]
    steps: list[pydantic.PositiveFloat] = pydantic.Field(default_factory=list)
    """Steps to the target, one per fresh seed: the paired clock's yardstick.

    Interpolated between evaluations, as race times are.
    """
    data: Digest = ""
    """Digest of the data these steps were measured on, from `Workload.data_sha256`.

    Empty if the data are generated during a trial, or if it was not recorded.
    """


class Race(Model):
    """The target and budget of one workload, as set by `gradathlon set-targets`.

    They are stored in `targets/<race>.yaml` in the family's folder; how they were set, in
    `targets/<race>.procedure.json` beside it.
    """

    target: float
    budget: Limit
    reference: dict[Framework, Reference]


class MetricConfig(Model):
    """Name and direction of a family's metric."""

    name: str
    goal: Goal


class Task(Model):
    """A variant that is a task of its own, not an overlay; title and metric may differ.

    In `config.yaml`, its key `scales` distinguishes it from an overlay.
    """

    title: str | None = None
    metric: MetricConfig | None = None
    scales: dict[ScaleName, dict[str, object]]


class OverlayHead(Model):
    """An overlay's metadata, beside the settings that it changes."""

    title: str | None = None
    """What it changes, in a few words."""
    at: list[ScaleName] | None = None
    """The scales that it applies to; None means all."""


class FamilyConfig(Model):
    """A family's whole `config.yaml`."""

    version: pydantic.PositiveInt
    title: str
    metric: MetricConfig
    scales: dict[ScaleName, dict[str, object]]
    variants: dict[str, dict[str, object]] = pydantic.Field(default_factory=dict)
    """Overlays on a scale's settings, or tasks."""


S = TypeVar("S", bound=Scale)


@dataclasses.dataclass(frozen=True)
class Definition:
    """A family's files, parsed, with the line of each key of `config.yaml`."""

    name: str
    path: Path
    config: FamilyConfig
    document: Document
    tasks: Mapping[str, Task] = dataclasses.field(default_factory=dict)
    """The variants that are tasks of their own."""
    overlays: Mapping[str, OverlayHead] = dataclasses.field(default_factory=dict)
    """The metadata of the other variants."""
    races: Mapping[str, Race] = dataclasses.field(default_factory=dict)
    """Targets, budgets and references by race, such as `toy+ctr`."""

    def ids(self) -> list[str]:
        """All ids of the family: each scale, then its variants."""
        version, variants = self.config.version, [None, *self.config.variants]
        return [
            str(WorkloadId(self.name, scale, version, variant))
            for scale in self.config.scales
            for variant in variants
            if variant is None or scale in self._scales(variant)
        ]

    def settings(self, id: WorkloadId, model: type[S]) -> S:
        """The validated settings of one scale, with its variant's overlay.

        Raises:
            WorkloadError: no such scale, version or variant.
            ConfigError: the file itself is wrong.
        """
        self._check(id)
        if (task := self._task(id.variant)) is not None:
            own = task.scales[id.scale]  # type: ignore[index]
            return self.document.validate(
                model, own, ["variants", str(id.variant), "scales", id.scale]
            )
        scale: dict[str, object] = copy.deepcopy(self.config.scales[id.scale])  # type: ignore[index]
        at = ["scales", id.scale]
        if id.variant:
            self.document.validate(model, scale, at)
            over = self.config.variants[id.variant]
            head = OverlayHead.model_fields
            scale = _overlay(scale, {key: v for key, v in over.items() if key not in head})
            at = ["variants", id.variant]
        return self.document.validate(model, scale, at)

    def metric(self, id: WorkloadId, settings: Scale) -> Metric:
        """The family's or the task's metric, averaged over the scale's `metric_window`."""
        task = self._task(id.variant)
        metric = (task and task.metric) or self.config.metric
        return Metric(metric.name, metric.goal, settings.metric_window, settings.held_evaluations)

    def title(self, id: WorkloadId) -> str:
        """A one-line title: the family's or the task's own.

        An overlay's title says what it changes and follows the family's.
        """
        if (task := self._task(id.variant)) is not None:
            return task.title or self.config.title
        own = self.overlays[id.variant].title if id.variant else None
        return f"{self.config.title}: {own}" if own else self.config.title

    def procedure(self, id: WorkloadId) -> Facts | None:
        """The log of how a target was set: points, spread, date, hardware; None if missing."""
        path = self.path.parent / "targets" / f"{id.race}.procedure.json"
        if not path.exists():
            return None
        log: Facts = json.loads(path.read_text(encoding="utf-8"))
        return log

    def _task(self, variant: str | None) -> Task | None:
        return self.tasks.get(variant) if variant else None

    def _scales(self, variant: str) -> list[ScaleName]:
        if (task := self._task(variant)) is not None:
            return list(task.scales)
        at = self.overlays[variant].at
        return [scale for scale in self.config.scales if at is None or scale in at]

    def _check(self, id: WorkloadId) -> None:
        config = self.config
        if id.scale not in config.scales:
            hint = nearest(id.scale, config.scales)
            raise WorkloadError(f"workload {str(id)!r}: unknown scale {id.scale!r}{hint}")
        if id.version != config.version:
            raise WorkloadError(
                f"workload {str(id)!r}: this Gradathlon has version {config.version} of "
                f"{self.name}; install the release that has v{id.version} to run it"
            )
        if id.variant is not None and id.variant not in config.variants:
            hint = nearest(id.variant, config.variants)
            raise WorkloadError(f"workload {str(id)!r}: unknown variant {id.variant!r}{hint}")
        if id.variant is not None and id.scale not in (own := self._scales(id.variant)):
            hint = nearest(id.scale, own)
            raise WorkloadError(
                f"workload {str(id)!r}: variant {id.variant!r} has no scale {id.scale!r}{hint}"
            )


@functools.cache
def read_definition(folder: Path, name: str | None = None) -> Definition:
    """Read a family's files; it is named like its folder unless another name is given.

    Raises:
        ConfigError: a file is malformed.
    """
    path = folder / "config.yaml"
    document = Document(path.read_text(encoding="utf-8"), str(path))
    config = document.validate(FamilyConfig, document.data)
    tasks = {
        name: document.validate(Task, variant, ["variants", name])
        for name, variant in config.variants.items()
        if "scales" in variant
    }
    overlays = {
        name: document.validate(
            OverlayHead,
            {key: value for key, value in variant.items() if key in OverlayHead.model_fields},
            ["variants", name],
        )
        for name, variant in config.variants.items()
        if name not in tasks
    }
    family = Definition(name or folder.name, path, config, document, tasks, overlays)
    return dataclasses.replace(family, races=_races(family))


def _races(family: Definition) -> dict[str, Race]:
    race_names = {WorkloadId.parse(id).race for id in family.ids()}
    races = {}
    for path in sorted((family.path.parent / "targets").glob("*.yaml")):
        if path.stem not in race_names:
            raise ConfigError(
                f"{path}: {family.name} has no race {path.stem!r}{nearest(path.stem, race_names)}"
            )
        races[path.stem] = read_yaml(path, Race)
    return races


def _overlay(base: dict[str, object], over: dict[str, object]) -> dict[str, object]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = _overlay(below, value) if both else value  # type: ignore[arg-type]
    return merged
