"""What the training loop needs of a learner: one interface, one implementation a framework."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from scoring.ground.words import Resources
from submissions.contract import Card, Parameters
from workloads.contract import Array, Batch, Weights, Workload

Build = Callable[[Parameters | None], Any]
"""Calls the submission; torch hands in its parameters, JAX None."""
Draw = Callable[[], Batch]


class DeviceError(Exception):
    """The accelerator that a trial asks for cannot be used."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """Everything a learner is made of: the workload, its starting point, and the submission.

    `module` is the executed submission file, for the functions that may stand beside
    `submission`; `closure` tells that the optimizer's step wants a closure.
    """

    workload: Workload[Any]
    weights: Weights
    build: Build
    module: Any
    closure: bool
    seed: int
    resources: Resources


class Learner(Protocol):
    """A model that a submission trains."""

    def warm_up(self, batches: list[Batch], observations: Sequence[Array] = ()) -> None:
        """Compile and touch everything, so that none of it is on the clock.

        Asks the policy about the observations, trains on the batches and makes ready for an
        evaluation; `begin` throws all of it away.
        """

    def begin(self) -> None:
        """Start afresh from the initial weights: the submission's init. On the clock."""

    def step(self, draw: Draw) -> None:
        """One training step, perhaps only queued on the device. On the clock."""

    def synchronize(self) -> None:
        """Return once everything queued is done."""

    def prepare_evaluation(self) -> None:
        """Make ready the weights that the submission wants judged. On the clock."""

    def measure(self, batch: Batch) -> dict[str, Array]:
        """The workload's sums on a batch, at the weights to be judged."""

    def finite(self) -> bool:
        """Whether the weights to be judged are all finite."""

    def act(self, observations: Array) -> Array:
        """The model's `act` at the training weights, for streams that depend on the learner."""

    def keep(self) -> None:
        """Remember the training weights for `act_as_kept`; part of the state, lost by `begin`."""

    def act_as_kept(self, observations: Array) -> Array:
        """As `act`, at the weights last kept."""

    def resume_training(self) -> None:
        """Undo `prepare_evaluation`."""

    def drain(self) -> dict[str, float]:
        """By-product sums of the loss since the last call; forgets them."""

    def state(self) -> dict[str, Any]:
        """All that `load_state` needs, for a checkpoint: numpy arrays and plain values."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue, after `begin`, where `state` was taken."""


class LearnersPolicy:
    """A learner as its own stream sees it: a `workloads.contract.Policy`."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner

    def __call__(self, observations: Array, /) -> Array:
        """What the model makes of them at the present training weights."""
        return self._learner.act(observations)

    def keep(self) -> None:
        """Remember the present weights."""
        self._learner.keep()

    def kept(self, observations: Array, /) -> Array:
        """As a call, at the remembered weights."""
        return self._learner.act_as_kept(observations)


def warm_up_policy(learner: Learner, observations: Sequence[Array]) -> None:
    """Ask the policy about observations of each shape, both ways."""
    for one in observations:
        learner.act(one)
        learner.keep()
        learner.act_as_kept(one)


def make_card(workload: Workload[Any], seconds: float, seed: int) -> Card:
    """What the submission may know of the workload."""
    parameters = workload.parameters()
    return Card(
        step_hint=workload.settings.step_hint,
        batch_size=workload.settings.batch_size,
        seconds=seconds,
        shapes={name: spec.shape for name, spec in parameters.items()},
        roles={name: spec.role for name, spec in parameters.items()},
        seed=seed,
    )
