"""The numbers of one scale of the family, checked."""

from __future__ import annotations

import itertools
from typing import Literal

import pydantic

from scoring.ground.documents import Model
from workloads.config import Scale
from workloads.images import FORMS, Form, Source

GROUP = 16
"""Channels that are normalised together in a convolutional stage."""


class DataSettings(Model):
    """Which images become which tasks, and when the stream moves on to the next."""

    source: Source
    kind: Literal["permuted", "rotated", "split"]
    """Each task shows all images, pixels permuted or turned, or the images of some classes."""
    tasks: pydantic.PositiveInt
    mastery: float = pydantic.Field(gt=0, lt=1)
    """The share of right answers on its check images at which a task is mastered."""
    dispersed: bool = False
    """Whether nothing is mastered: all turns are `visit` steps long, and tasks come round again."""
    visit: pydantic.PositiveInt
    """Steps of a turn where tasks are `dispersed`."""
    check_period: pydantic.PositiveInt
    """Steps between checks."""
    check: pydantic.PositiveInt
    """Held-out images of a task that a check looks at; at most half of them."""
    validation: pydantic.PositiveInt
    """Held-out images of a task that an evaluation looks at; at most a quarter of them."""
    turn: pydantic.PositiveInt
    """Steps after which a task that is not mastered goes to the end of the line."""
    memory: pydantic.NonNegativeInt
    """Training images that are kept for replay, of all tasks together."""
    replay: pydantic.NonNegativeInt
    """Images of a batch that come out of memory, once there is one."""
    experience_period: pydantic.PositiveInt
    """Every so many steps a batch's new images are asked about before they are learnt."""

    @property
    def form(self) -> Form:
        """What the images look like."""
        return FORMS[self.source]

    @pydantic.model_validator(mode="after")
    def _tasks_fit(self) -> DataSettings:
        classes = self.form.classes
        if self.kind == "split" and classes % self.tasks:
            raise ValueError(
                f"{classes} classes cannot be split evenly among {self.tasks} tasks; choose a "
                f"divisor of {classes}"
            )
        for name, steps in (("turn", self.turn), ("visit", self.visit)):
            if steps % self.check_period:
                raise ValueError(
                    f"{name} {steps} is not a whole number of check periods; "
                    f"make it a multiple of {self.check_period}"
                )
        if self.check_period % self.experience_period:
            raise ValueError(
                f"check_period {self.check_period} is not a whole number of experience periods; "
                f"make it a multiple of {self.experience_period}"
            )
        if bool(self.memory) != bool(self.replay):
            raise ValueError(
                f"memory {self.memory} and replay {self.replay}: give both, or 0 for both"
            )
        if self.memory and self.memory < self.tasks:
            raise ValueError(
                f"memory {self.memory} is below one image per task for {self.tasks} tasks; make "
                "it larger"
            )
        return self


class ModelSettings(Model):
    """The network between an image's pixels and the classes of all tasks."""

    stages: list[pydantic.PositiveInt] = pydantic.Field(default_factory=list)
    """Channels of the convolutional stages, each of which halves the image's sides."""
    hidden: list[pydantic.PositiveInt] = pydantic.Field(default_factory=list)
    """Widths of the hidden linear layers."""

    @pydantic.model_validator(mode="after")
    def _whole_groups(self) -> ModelSettings:
        for channels in self.stages:
            if channels % GROUP:
                raise ValueError(
                    f"a stage of {channels} channels is not a whole number of groups; "
                    f"make it a multiple of {GROUP}"
                )
        return self


class LifelongScale(Scale):
    """The numbers of one scale of the family."""

    data: DataSettings
    model: ModelSettings

    @property
    def stages(self) -> list[tuple[int, int]]:
        """Channels in and out of every convolutional stage."""
        return list(itertools.pairwise([self.data.form.channels, *self.model.stages]))

    @property
    def widths(self) -> list[int]:
        """Inputs of the first linear layer, hidden widths, classes."""
        form, stages = self.data.form, self.model.stages
        return [stages[-1] if stages else form.pixels, *self.model.hidden, form.classes]

    @pydantic.model_validator(mode="after")
    def _room_for_both(self) -> LifelongScale:
        if self.data.replay >= self.batch_size:
            raise ValueError(
                f"replay {self.data.replay} leaves no room for the current task in a batch of "
                f"{self.batch_size}; make it smaller"
            )
        if self.data.check_period % self.evaluation_period:
            # So that an evaluation stands at the end of every turn, before the next task's.
            raise ValueError(
                f"check_period {self.data.check_period} is not a whole number of evaluation "
                f"periods; make it a multiple of {self.evaluation_period}"
            )
        side = self.data.form.side
        if side % 2 ** len(self.model.stages):
            raise ValueError(
                f"{len(self.model.stages)} stages cannot halve a side of {side} pixels each time; "
                "use fewer"
            )
        return self
