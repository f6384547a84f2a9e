"""The workload contract: data, model, loss, evaluation and target, framework-free.

A workload is a framework-free core (this module's `Workload` and `Stream`) with two model back
ends, `model_torch.py` and `model_jax.py`, that share parameter names, shapes and initial values.
Everything that affects a score is fixed here: a submission cannot change the data order, the
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
"""Parameters by name, float32, with the torch module's names and shapes (a matrix is (out, in))."""
Measure: TypeAlias = Callable[[Batch], dict[str, Array]]
"""Maps a batch to sums over its examples (never means or rows), reduced on the device."""
Predict: TypeAlias = Callable[[Batch], dict[str, Array]]
"""Maps a batch to one row per example: predictions, scores, actions."""
Inspect: TypeAlias = Callable[[Batch], dict[str, Array]]
"""Maps a batch to the inputs of `workloads.diagnostics`."""
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
    """What training recorded since the last evaluation.

    Attributes:
        steps: the window's training steps.
        sums: by-products of the loss, summed over the steps. Only the first loss that the
            submission computes in a step counts, on whatever batch. `sums["loss"]` is always there.
        draws: number of batches drawn from the stream.
        drawn: for a workload that declares `prequential` sums, these sums over every batch drawn,
            measured by the harness with the weights at the time of the draw: predict, then learn.
    """

    steps: int
    sums: Mapping[str, float]
    draws: int = 0
    drawn: Mapping[str, float] = dataclasses.field(default_factory=dict)


class Policy(Protocol):
    """The learner as its stream sees it: the model's `act`, timed like all its work.

    `act` is a method of both back ends, `act(observations)` in torch and
    `act(params, observations)` in JAX; if a model has none, its stream must not call the policy.
    Observations are one array with a fixed set of shapes, listed by `Workload.observations_like`,
    so that nothing is compiled on the clock.
    """

    def __call__(self, observations: Array, /) -> Array:
        """The model's output at the current training weights."""

    def keep(self) -> None:
        """Store the current weights, replacing those stored before.

        They stay on the device, belong to the learner and are part of its checkpoints: a target
        network that the stream itself does not hold.
        """

    def kept(self, observations: Array, /) -> Array:
        """Like a call, at the stored weights; `keep` must have been called before."""


class Stream(abc.ABC):
    """Endless training batches whose order depends on the seed alone.

    If the data depend on the learner (reinforcement learning, mastery) or on time (concept
    shift), the stream implements that dependence.
    """

    @abc.abstractmethod
    def next(self, policy: Policy) -> Batch:
        """The next training batch. The caller owns the arrays: never reuse their memory."""

    @abc.abstractmethod
    def state(self) -> StateDict:
        """All that `load_state` needs to resume exactly here: JSON values and numpy arrays."""

    @abc.abstractmethod
    def load_state(self, state: StateDict) -> None:
        """Resume where `state` was taken."""

    def events(self) -> list[Event]:
        """Events since the last call; each is returned once."""
        return []

    def close(self) -> None:  # noqa: B027
        """Release threads and files."""


@dataclasses.dataclass(frozen=True)
class Judged:
    """A model at the weights to evaluate: all that an evaluation sees of a learner.

    Attributes:
        measure: maps a batch to sums over its examples, named as in `Workload.sums`.
        predict: maps a batch, with or without targets, to arrays with the batch's first axis.
        weights: returns the weights, copied to the host.
        inspect: maps a batch to the output of the model's `inspect` and, for a supervised
            workload, `gradient_norm`; None if no diagnostics are due.
    """

    measure: Measure
    predict: Predict
    weights: Callable[[], Weights]
    inspect: Inspect | None = None


S = TypeVar("S", bound=Scale, covariant=True, default=Scale)
"""The settings class of a family; a bare `Workload` may have any."""


class Workload(abc.ABC, Generic[S]):
    """One workload at one scale, in one variant. Building it is cheap and needs no data.

    Attributes:
        id: its parsed id; `str(workload.id)` looks like `lm-toy-v2+postnorm`.
        settings: the validated settings of its scale and variant.
        metric: the metric it is judged by.
        race: target, budget and reference; None until `gradathlon set-targets` has set them.
        sums: the names of the sums that its models' `measure` returns.
        prequential: names of scalar sums among them that the harness measures on every training
            batch as it is drawn, for a metric of how well the learner predicts before it learns.
            Nothing that a submission does with a batch afterwards can change them.
        shared: names of batch entries that belong to no single example, such as a catalogue, and
            are the same in all batches of a stream. Learners hide them from the submission, which
            may slice and concatenate the rest along the first axis.
        supervised: whether its batches are labelled examples; False in reinforcement learning.
        divisible: whether a batch's loss is the mean of the losses of its equal parts, so that
            the ranks of a trial can split it.
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
        """Number of classes the model distinguishes; None if there are none."""
        return None

    @property
    def size(self) -> int:
        """Number of scalar parameters."""
        return sum(math.prod(spec.shape) for spec in self.parameters().values())

    @property
    def settings_sha256(self) -> str:
        """Digest of all settings that define this workload: equal digests mean the same race."""
        # A number that a workload does not have leaves its digest as it was.
        without = {"provisional_budget"} | ({"held"} if self.settings.held is None else set())
        numbers = self.settings.model_dump_json(exclude=without)
        return hashlib.sha256(f"{self.id} {self.metric} {numbers}".encode()).hexdigest()

    def data_sha256(self) -> str:
        """Digest of the data, which must be present; empty if they are generated during a trial."""
        return ""

    @abc.abstractmethod
    def parameters(self) -> dict[str, ParameterSpec]:
        """Every parameter's shape and role, in the torch module's order."""

    @abc.abstractmethod
    def initial_weights(self, seed: int) -> Weights:
        """Initial weights drawn in numpy, so that both frameworks start bit-identical."""

    @abc.abstractmethod
    def fetch(self) -> None:
        """Ensure that the data are on this machine; idempotent.

        Raises:
            WorkloadError: the data are missing, damaged or cannot be fetched.
        """

    def at_hand(self) -> bool:
        """Whether `fetch` takes seconds; False if it would compute for minutes."""
        return True

    def made_here_sha256(self) -> str | None:
        """Digest of data that each machine generates for itself; None if all have the same data.

        Empty unless they are `at_hand`: nothing is generated just for the digest.
        """
        return None

    @abc.abstractmethod
    def stream(self, seed: int) -> Stream:
        """A fresh stream of training batches; fetches the data if needed."""

    @abc.abstractmethod
    def evaluate(
        self, judged: Judged, split: Split, stream: Stream, window: Window
    ) -> dict[str, float]:
        """Metrics of the weights in `judged`, named as in `validation/bits_per_byte`.

        `stream` shows how far the learner is, and `window` holds the sums recorded in training
        since the last evaluation. With split "test", which is evaluated once at the end of a
        trial, only metrics named `test/...` are returned (perhaps none).
        """

    def probe(self, stream: Stream) -> Batch | None:
        """A small, fixed batch whose loss and activations diagnostics use.

        Held-out examples if the loss can be taken on them, labelled as the stream labels them now;
        None if there is nothing to diagnose.
        """
        return None

    @abc.abstractmethod
    def batch_like(self, seed: int = 0) -> Batch:
        """A random training batch of the right shapes and dtypes, made without data."""

    def observations_like(self) -> list[Array]:
        """One array of each shape that streams pass to the policy; none by default.

        Made without data. The policy is warmed up on them before the clock starts.
        """
        return []

    @abc.abstractmethod
    def torch_model(self) -> TorchModel:
        """A fresh PyTorch model (its weights are overwritten by `initial_weights`)."""

    @abc.abstractmethod
    def jax_model(self) -> JaxModel:
        """The model in JAX."""
