"""What the training loop needs of a learner: one interface, one implementation per framework."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import NoReturn, Protocol, TypeVar

from cluster.spec import HOLDING_FACTOR
from scoring.ground.words import Budget, Resources, StateDict
from submissions.contract import Card, Parameters, SubmissionError
from workloads.contract import Array, Batch, Judged, Weights, Window, Workload

Weight = TypeVar("Weight")
Build = Callable[[Parameters | None], object]
"""Calls the submission; torch hands in its parameters, JAX None."""
Draw = Callable[[], Batch]


class DeviceError(Exception):
    """The accelerator that a trial needs cannot be used."""


class Field(Protocol):
    """A batch's array, of any framework."""

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        ...

    def __len__(self) -> int: ...


@dataclasses.dataclass(frozen=True)
class Rank:
    """Which of a trial's processes this is, of how many, and where they meet.

    torch's through a file, JAX's at an address of this machine.
    """

    number: int
    size: int
    store: str
    address: str

    def share(self, batch: Mapping[str, Field]) -> tuple[slice, frozenset[str]] | None:
        """This rank's examples, and the fields of the batch that have a row for each.

        None where the batch cannot be divided evenly.
        """
        count = max(len(value) for value in batch.values() if value.ndim)
        if count % self.size:
            return None
        each = count // self.size
        rows = {name for name, value in batch.items() if value.ndim and len(value) == count}
        return slice(self.number * each, (self.number + 1) * each), frozenset(rows)


@dataclasses.dataclass(frozen=True)
class Entry:
    """Everything a learner is made of: the workload, its starting point, and the submission.

    `module` is the executed submission file, for the functions that may stand beside
    `submission`. `closure` is what the file says of its optimizers: they all want a closure, none
    does, or None: those whose `step` cannot be called without one. `build_by_shape` is `build`
    with a card on which `head` and `tensor` are `weight`, for files that tell apart no more. `rank`
    is set where the trial has several.
    """

    workload: Workload
    weights: Weights
    build: Build
    module: ModuleType
    closure: bool | None
    seed: int
    resources: Resources
    build_by_shape: Build | None = None
    rank: Rank | None = None


@dataclasses.dataclass(frozen=True)
class Taken:
    """What training gave since it was last asked.

    Attributes:
        sums: by-products of the loss, one set a step: those of the step's first loss.
        drawn: for a prequential workload, the sums that the harness took of every batch as it
            was drawn, at the weights of that moment.
        draws: how many batches were drawn.
    """

    sums: Mapping[str, float]
    drawn: Mapping[str, float]
    draws: int

    def window(self, steps: int) -> Window:
        """The same, over that many steps, as a workload's evaluation wants it."""
        return Window(steps, self.sums, draws=self.draws, drawn=self.drawn)


class Learner(Protocol):
    """A model that a submission trains, compiled and warmed up: `make_learner` gives no other.

    Whatever is said to be on the clock may run the submission's code; nothing else does.
    """

    @property
    def draws(self) -> int:
        """How many batches were drawn since the last `drain`."""

    def begin(self) -> None:
        """Start afresh from the initial weights: `submission()` and its init. On the clock."""

    def step(self, draw: Draw) -> None:
        """One training step, perhaps only queued on the device. On the clock."""

    def synchronize(self) -> None:
        """Return once everything queued is done."""

    def prepare_evaluation(self) -> None:
        """Make ready the weights that the submission wants judged. On the clock.

        Raises:
            SubmissionError: they are not the workload's parameters by name, shape and dtype.
        """

    def judged(self) -> Judged:
        """The model at the weights that `prepare_evaluation` made ready."""

    def finite(self) -> bool:
        """Whether the weights to be judged are all finite."""

    def act(self, observations: Array) -> Array:
        """The model's `act` at the training weights, for streams that depend on the learner."""

    def keep(self) -> None:
        """Remember the training weights for `act_as_kept`; part of the state, lost by `begin`."""

    def act_as_kept(self, observations: Array) -> Array:
        """As `act`, at the weights last kept."""

    def resume_training(self) -> None:
        """Undo `prepare_evaluation`, and ask the submission for its state. On the clock."""

    def drain(self) -> Taken:
        """What training gave since the last call; forgets it."""

    def weights(self) -> Weights:
        """The training weights, copied to the host."""

    def state(self) -> StateDict:
        """All that `load_state` needs, for a checkpoint: numpy arrays and plain values.

        As `resume_training` found it; without one since the last step, as it is now.

        Raises:
            StateError: the submission remembers what cannot be kept.
        """

    def load_state(self, state: StateDict) -> None:
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


def plain_weights(judged: object, live: Mapping[str, Weight]) -> dict[str, Weight]:
    """The weights to be judged as a plain dict, if they are the workload's parameters.

    Raises:
        SubmissionError: another name, shape or dtype: one line.
    """
    if not isinstance(judged, Mapping):
        kind = type(judged).__name__
        raise SubmissionError(f"`eval_params` returned a {kind}; return a dict of weights by name")
    weights = {str(name): judged[name] for name in judged}
    odd = sorted(set(weights) ^ set(live))
    if odd:
        what = "lack" if odd[0] in live else "have an unknown"
        raise SubmissionError(f"the weights to evaluate {what} {odd[0]!r}; keep the model's names")
    return {name: weights[name] for name in live}


def refuse_other_form(name: str, form: tuple[object, str], wanted: tuple[object, str]) -> None:
    """Weights of another shape or dtype than the workload's are another model.

    A form is a shape and a dtype's name, as (12, 6) and "float32".

    Raises:
        SubmissionError: `form` is not `wanted`: one line.
    """
    if form != wanted:
        what, right = (f"{dtype} {shape}" for shape, dtype in (form, wanted))
        advice = "a submission trains the workload's model and may not change it"
        raise SubmissionError(f"the weight {name!r} is {what}, the workload's is {right}; {advice}")


def refuse_other_kind(name: str, value: object) -> NoReturn:
    """Weights of a class of their own run the submission's code wherever they are used.

    That is where the clock stands, and where validation data are at hand.

    Raises:
        SubmissionError: always: one line.
    """
    kind = type(value).__qualname__
    raise SubmissionError(
        f"the weight {name!r} is a {kind}, whose code would run in evaluations; use plain arrays"
    )


def refuse_other_arithmetic(what: str) -> NoReturn:
    """A loss that is taken in another precision is another model's.

    Raises:
        SubmissionError: always; `what` is a clause.
    """
    raise SubmissionError(
        f"a loss is computed where {what}: the workload fixes the precision; compute losses at "
        "float32 weights, outside such settings"
    )


def make_card(workload: Workload, budget: Budget, seed: int) -> Card:
    """What the submission may know of the workload."""
    parameters, held = workload.parameters(), workload.settings.held
    holding = HOLDING_FACTOR * held.steps if held else 0
    batch = workload.batch_like()
    own = {name: value for name, value in batch.items() if name not in workload.shared}
    return Card(
        step_hint=workload.settings.step_hint,
        batch_size=workload.settings.batch_size,
        max_steps=budget.steps + holding,
        seconds=budget.seconds,
        shapes={name: spec.shape for name, spec in parameters.items()},
        roles={name: spec.role for name, spec in parameters.items()},
        seed=seed,
        supervised=workload.supervised,
        examples={name: (value.shape[1:], str(value.dtype)) for name, value in own.items()},
    )
