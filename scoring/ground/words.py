"""The vocabulary of a race: each word is defined here once, and means the same in every room."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

Framework = Literal["torch", "jax"]
Goal = Literal["min", "max"]
Clock = Literal["wall", "cpu", "steps", "paired"]
"""What time is counted on: seconds, CPU seconds of the trial and its children, steps, or steps that
the reference would have made meanwhile (`paired`: timed in turns with it)."""
Ruleset = Literal["external", "self", "targets", "try"]
"""How points are chosen: a few a study, of which the fastest counts (`external`); the defaults,
once (`self`); or no race at all: `targets` are being set, `try` tries a single point."""
Role = Literal["weight", "head", "bias", "embedding", "norm", "tensor"]
"""What a parameter is: a hidden layer's matrix `weight`, (out, in); the output layer's `head`;
`bias`; `embedding`, one row an entry; `norm`, a normalisation's gain; `tensor`, weights that are
no matrices (a spectral filter, a convolution)."""
Scalar: TypeAlias = bool | int | float | str | None
Point: TypeAlias = dict[str, Scalar]
"""A hyperparameter point: values by the names of `submission`'s arguments."""
Facts: TypeAlias = Mapping[str, Any]
"""Things told by name, as JSON has them: the hardware, a log, what a record says besides."""
StateDict: TypeAlias = dict[str, Any]
"""What a checkpoint keeps: any nesting of plain values and arrays."""


REFERENCE = "reference-"
"""With a framework behind it, the name of that framework's reference: `reference-torch`."""


def reference_of(framework: str) -> str:
    """The name under which a framework's reference races."""
    return f"{REFERENCE}{framework}"


REFERENCES = tuple(map(reference_of, get_args(Framework)))


def is_reference(submission: str) -> bool:
    """Whether a submission is the protocol's own reference; no other name is, however it begins."""
    return submission in REFERENCES


class TrialKey(NamedTuple):
    """What tells a trial apart from every other of its run."""

    workload: str
    submission: str
    study: int
    trial: int


@dataclasses.dataclass(frozen=True)
class Held:
    """How long a target must hold once it is met: so many evaluations, each within the slack."""

    evaluations: int
    slack: float = 0.0


@dataclasses.dataclass(frozen=True)
class Target:
    """The metric to reach; in a race at equal budget `value` is None, and nothing reaches it.

    Where it must hold for a while, a trial that meets it and then loses it has missed it.
    """

    metric: str
    goal: Goal
    value: float | None
    held: Held | None = None

    def met_by(self, value: float | None) -> bool:
        """Whether a metric's value is at the target or beyond; what is not finite never is."""
        if value is None or self.value is None or not math.isfinite(value):
            return False
        return value <= self.value if self.goal == "min" else value >= self.value

    def held_by(self, value: float | None) -> bool:
        """Whether a metric's value, after the target was met, is still close enough to it."""
        if self.value is None or self.held is None:
            return self.met_by(value)
        slack = self.held.slack if self.goal == "min" else -self.held.slack
        return dataclasses.replace(self, value=self.value + slack).met_by(value)


DIGEST = r"^([0-9a-f]{64})?$"
"""The pattern of a SHA-256 in hexadecimal digits, empty where none was taken."""


def short(digest: str) -> str:
    """As many of a digest's digits as a line needs."""
    return digest[:12] or "none"


def best(values: list[float], goal: Goal) -> float:
    """The best of the finite values, NaN where there is none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return math.nan
    return min(finite) if goal == "min" else max(finite)


@dataclasses.dataclass(frozen=True)
class Budget:
    """After what a trial ends: steps, and the official clock's seconds or reference steps.

    `reference_steps` is None on every clock but the paired one. There, and on the steps clock,
    seconds limit nothing.
    """

    steps: int
    seconds: float
    reference_steps: float | None = None


@dataclasses.dataclass(frozen=True)
class Resources:
    """What one trial holds alone: cores it is pinned to, one thread each, and accelerators.

    Where it has several ranks, one process each, `cores` and `gpus` are those of a rank.
    """

    cores: int = 1
    gpus: int = 0
    ranks: int = 1

    @property
    def all_cores(self) -> int:
        """Of all of its ranks."""
        return self.cores * self.ranks

    @property
    def all_gpus(self) -> int:
        """Of all of its ranks."""
        return self.gpus * self.ranks
