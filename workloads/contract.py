"""What a workload is: data, model, loss, evaluation and target, without a framework.

A workload is a framework-free core (this module's `Workload` and `Stream`) with two model back
ends, `model_torch.py` and `model_jax.py`, that share parameter names, shapes and initial values.
Everything that may move a score is fixed here: a submission cannot change the data order, the
initial weights, the batch size or the evaluation.
"""

from __future__ import annotations

import abc
import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeAlias

import numpy.typing as npt
from typing_extensions import TypeVar

from scoring.ground.words import Role, StateDict
from workloads.config import Race, Scale, WorkloadId
from workloads.metric import Metric

if TYPE_CHECKING:
    from workloads.model_jax import JaxModel
    from workloads.model_torch import TorchModel

Array: TypeAlias = npt.NDArray[Any]
Batch: TypeAlias = dict[str, Array]
Weights: TypeAlias = dict[str, Array]
"""Parameters by name, float32, in the torch module's names and shapes (a matrix is (out, in))."""
Measure: TypeAlias = Callable[[Batch], dict[str, Array]]
"""A batch to sums over its examples (never means, never rows), reduced on the device."""
Predict: TypeAlias = Callable[[Batch], dict[str, Array]]
"""A batch to rows, one an example: predictions, scores, actions."""
Inspect: TypeAlias = Callable[[Batch], dict[str, Array]]
"""A batch to what `workloads.diagnostics` makes numbers of."""
Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

Split = Literal["validation", "test"]


@dataclasses.dataclass(frozen=True)
class ParameterSpec:
    """Shape and role of one named parameter."""

    shape: tuple[int, ...]
    role: Role


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened in the stream: a concept shift, a task boundary."""

    name: str
    details: Mapping[str, Json] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Window:
    """What training itself saw since the last evaluation.

    Attributes:
        steps: the window's training steps.
        sums: by-products of the loss, summed over the steps: those of the first loss that the
            submission takes in a step, of whatever batch. `sums["loss"]` is always there.
        draws: how many batches were drawn from the stream.
        drawn: for a workload that declares `prequential` sums, these sums over every batch as it
            was drawn, measured by the harness at the weights of that moment: predict, then learn.
    """

    steps: int
    sums: Mapping[str, float]
    draws: int = 0
    drawn: Mapping[str, float] = dataclasses.field(default_factory=dict)


class Policy(Protocol):
    """The learner as its own stream sees it: the model's `act`, on the clock like all that it does.

    `act` is a method of both back ends, `act(observations)` in torch and
    `act(params, observations)` in JAX; where a model has none, streams must not ask. Observations
    are one array with a fixed set of shapes, which `Workload.observations_like` names, so that
    nothing is compiled on the clock.
    """

    def __call__(self, observations: Array, /) -> Array:
        """What the model makes of them at the present training weights."""

    def keep(self) -> None:
        """Remember the present weights, in the place of those remembered before.

        They stay on the device, belong to the learner, and are in its checkpoints: a target
        network, of which the stream holds nothing.
        """

    def kept(self, observations: Array, /) -> Array:
        """As a call, at the remembered weights; `keep` must have been called before."""


class Stream(abc.ABC):
    """Endless training batches whose order depends on the seed alone.

    Where the data depend on the learner (reinforcement learning, mastery) or on time (concept
    shift), it is the stream that holds that dependence.
    """

    @abc.abstractmethod
    def next(self, policy: Policy) -> Batch:
        """The next training batch. The arrays belong to the caller: never reuse their memory."""

    @abc.abstractmethod
    def state(self) -> StateDict:
        """All that `load_state` needs to continue exactly here: JSON values and numpy arrays."""

    @abc.abstractmethod
    def load_state(self, state: StateDict) -> None:
        """Continue where `state` was taken."""

    def events(self) -> list[Event]:
        """What happened since the last call; forgets it."""
        return []

    def close(self) -> None:  # noqa: B027
        """Release threads and files."""


@dataclasses.dataclass(frozen=True)
class Judged:
    """A model at the weights to be judged: all that an evaluation sees of a learner.

    Attributes:
        measure: a batch to sums over its examples, by the names in `Workload.sums`.
        predict: a batch, targets or not, to rows: arrays whose first axis is the batch's.
        weights: the weights themselves, copied to the host.
        inspect: a batch to what the model's `inspect` gives of it and, of a supervised workload,
            `gradient_norm`; None where nobody looks inside.
    """

    measure: Measure
    predict: Predict
    weights: Callable[[], Weights]
    inspect: Inspect | None = None


S = TypeVar("S", bound=Scale, covariant=True, default=Scale)
"""The settings of a family; a plain `Workload` is one of any."""


class Workload(abc.ABC, Generic[S]):
    """One workload at one scale, in one variant. Building it is cheap and needs no data.

    Attributes:
        id: its parts; `str(workload.id)` is as in `lm-toy-v2+postnorm`.
        settings: the checked numbers of its scale and variant.
        metric: what it is judged by.
        race: target, budget and reference; None until `gradathlon set-targets` found them.
        sums: the names of what its models' `measure` gives.
        prequential: names of scalar sums among them that the harness takes of every training
            batch as it is drawn, for a metric of how well the learner predicts before it learns.
            What a submission makes of a batch afterwards cannot move them.
        shared: names of what in its batches is of no example but of all, a catalogue say: the
            same in all of a stream's batches. Learners keep it from the submission, which may cut
            and join what is left along the first axis.
        supervised: whether its batches are labelled examples; not so in reinforcement learning.
        divisible: whether the loss of a batch is the mean of its equal parts' losses, so that the
            ranks of a trial may share it out.
    """

    sums: ClassVar[tuple[str, ...]]
    prequential: ClassVar[tuple[str, ...]] = ()
    shared: ClassVar[tuple[str, ...]] = ()
    supervised: ClassVar[bool] = True
    divisible: ClassVar[bool] = True

    def __init__(self, id: WorkloadId, settings: S, metric: Metric, race: Race | None) -> None:
        self.id = id
        self.settings = settings
        self.metric = metric
        self.race = race

    @property
    def classes(self) -> int | None:
        """How many classes the model tells apart; None where there are none."""
        return None

    @property
    def size(self) -> int:
        """How many numbers its parameters hold."""
        return sum(math.prod(spec.shape) for spec in self.parameters().values())

    @property
    def settings_sha256(self) -> str:
        """Digest of all numbers that make this workload: equal ones have run the same race."""
        # A number that a workload does not have leaves its digest as it was.
        without = {"provisional_budget"} | ({"held"} if self.settings.held is None else set())
        numbers = self.settings.model_dump_json(exclude=without)
        return hashlib.sha256(f"{self.id} {self.metric} {numbers}".encode()).hexdigest()

    def data_sha256(self) -> str:
        """Digest of the data, which must be at hand; empty where they are made as a trial goes."""
        return ""

    @abc.abstractmethod
    def parameters(self) -> dict[str, ParameterSpec]:
        """Every parameter's shape and role, in the torch module's order."""

    @abc.abstractmethod
    def initial_weights(self, seed: int) -> Weights:
        """Initial weights drawn in numpy, so that both frameworks start bit-identical."""

    @abc.abstractmethod
    def fetch(self) -> None:
        """Make sure that the data are on this machine; idempotent.

        Raises:
            WorkloadError: the data are missing, damaged or cannot be fetched.
        """

    def at_hand(self) -> bool:
        """Whether `fetch` is done in seconds; not so where it would compute for minutes."""
        return True

    def made_here_sha256(self) -> str | None:
        """Digest of data that every machine makes of its own; None where all have the same.

        Empty as long as they are not `at_hand`: nothing is made to tell it.
        """
        return None

    @abc.abstractmethod
    def stream(self, seed: int) -> Stream:
        """A fresh stream of training batches; fetches the data when need be."""

    @abc.abstractmethod
    def evaluate(
        self, judged: Judged, split: Split, stream: Stream, window: Window
    ) -> dict[str, float]:
        """Metrics of the present weights, named as in `validation/bits_per_byte`.

        `stream` tells where in its course the learner stands, and
        `window` what its own predictions on the training stream were worth. With split "test",
        called once when a trial has ended, only metrics named `test/...` are returned (perhaps
        none).
        """

    def probe(self, stream: Stream) -> Batch | None:
        """A batch, small and always the same, whose loss and activity diagnostics look at.

        Held-out examples where they can be trained on, labelled as the stream labels them now;
        None where there is nothing to look at.
        """
        return None

    @abc.abstractmethod
    def batch_like(self, seed: int = 0) -> Batch:
        """A training batch of the right shapes and dtypes made of random values, without data."""

    def observations_like(self) -> list[Array]:
        """One example of each shape that the streams ask the policy about; none by default.

        Made without data. The policy is warmed up on them before the clock starts.
        """
        return []

    @abc.abstractmethod
    def torch_model(self) -> TorchModel:
        """A fresh model in PyTorch (its weights are overwritten by `initial_weights`)."""

    @abc.abstractmethod
    def jax_model(self) -> JaxModel:
        """The model in JAX."""
