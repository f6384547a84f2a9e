"""The workload as an AlgoPerf file sees it, and the names of its weights there."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

from scoring.ground.words import Role
from submissions.algoperf.spec import LossType, ParameterType, ShapeTuple
from submissions.algoperf.words import Batch, ByName, ModelState, RandomState, Tensor, Weights
from submissions.contract import Card, Problem, SubmissionError


@dataclasses.dataclass(frozen=True)
class Forward:
    """What `model_fn` gives in the place of logits: which weights saw which batch.

    `loss_fn` takes the workload's own loss of it, so that every workload has one, whatever its
    outputs are.
    """

    weights: Weights
    batch: Batch
    rng: RandomState


def is_embedding(name: str, role: Role) -> bool:
    """Whether files should know it as an embedding."""
    return role == "embedding" or "embed" in name.lower()


def parameter_type(name: str, role: Role, shape: tuple[int, ...]) -> ParameterType:
    """AlgoPerf's word for a parameter."""
    if role == "norm":
        bias = name.endswith(".bias")
        return ParameterType.LAYER_NORM_BIAS if bias else ParameterType.LAYER_NORM_SCALE
    if role == "embedding":
        return ParameterType.EMBEDDING
    if role == "bias":
        return ParameterType.BIAS
    return ParameterType.CONV_WEIGHT if is_convolution(role, shape) else ParameterType.WEIGHT


def is_convolution(role: Role, shape: tuple[int, ...]) -> bool:
    """Whether it is (out, in, side, side): there is no role for it."""
    return role == "tensor" and len(shape) == 4 and shape[2] == shape[3]


class View:
    """AlgoPerf's `Workload`, as far as a submission may use it.

    What would tell which workload it is, or show validation data, is not there; what AlgoPerf
    states of its own workloads and nobody here knows is a harmless constant.
    """

    metrics_logger: None = None
    target_metric_name = "loss"
    train_mean, train_stddev = 0.0, 1.0

    def __init__(self, card: Card, origin: str) -> None:
        self._card = card
        self.origin = origin
        self.problem: Problem[Tensor] | None = None

    @property
    def step_hint(self) -> int:
        """The horizon of schedules."""
        return self._card.step_hint

    @property
    def max_allowed_runtime_sec(self) -> float:
        """The limit on the clock."""
        return self._card.seconds

    @property
    def eval_period_time_sec(self) -> float:
        """A share of the limit as usual in AlgoPerf: evaluations here come by steps."""
        return self._card.seconds / 48

    @property
    def num_train_examples(self) -> int:
        """The examples met until the horizon: streams here have no end."""
        return self._card.step_hint * self._card.batch_size

    @property
    def loss_type(self) -> LossType:
        """Softmax where classes are told apart, squared error elsewhere."""
        classes = self.problem.classes if self.problem else None
        return LossType.SOFTMAX_CROSS_ENTROPY if classes else LossType.MEAN_SQUARED_ERROR

    @functools.cached_property
    def param_shapes(self) -> ByName:
        """The shapes, in the form of the file's weights."""
        return self.tree({name: ShapeTuple(shape) for name, shape in self.shapes().items()})

    @functools.cached_property
    def model_params_types(self) -> ByName:
        """What each weight is, in the form of the file's weights."""
        card = self._card
        kinds = {n: parameter_type(n, role, card.shapes[n]) for n, role in card.roles.items()}
        return self.tree(kinds)

    @property
    def param_types(self) -> ByName:
        """The same, by its older name."""
        return self.model_params_types

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every weight's shape in the file's layout, by our name."""
        return dict(self._card.shapes)

    def tree(self, by_name: ByName) -> ByName:
        """Values by our names, in the form that the file knows."""
        raise NotImplementedError

    def is_output_params(self, param_key: str) -> bool:
        """Whether a weight's name is the output layer's."""
        heads = (name for name, role in self._card.roles.items() if role == "head")
        layers = {head.rpartition(".")[0] for head in heads}
        return any(param_key == layer or param_key.startswith(f"{layer}.") for layer in layers)

    def model_fn(
        self,
        params: Weights,
        augmented_and_preprocessed_input_batch: Batch,
        model_state: ModelState,
        mode: object = None,
        rng: RandomState = None,
        update_batch_norm: bool = True,
        dropout_rate: float = 0.0,
        **more: object,
    ) -> tuple[Forward, ModelState]:
        """(what `loss_fn` takes, the model's state). The models have neither dropout nor batch norm
        of a submission's choice: both are ignored, as AlgoPerf's do that lack them.
        """
        return Forward(params, augmented_and_preprocessed_input_batch, rng), model_state

    def loss_fn(
        self,
        label_batch: Tensor,
        logits_batch: Any,
        mask_batch: Tensor = None,
        label_smoothing: Tensor = 0.0,
    ) -> dict[str, Tensor]:
        """`summed`, `n_valid_examples`, and `per_example` for who asks for it."""
        if not isinstance(logits_batch, Forward):
            self.refuse("`loss_fn` was given logits that are not `model_fn`'s")
        if label_batch is not logits_batch.batch["targets"]:
            self.refuse("`loss_fn` was given labels that are not the batch's")
        if self.problem is None:
            self.refuse("`loss_fn` was called before the first step")
        return self.score(logits_batch, mask_batch, label_smoothing)

    def score(self, forward: Forward, mask: Tensor, smoothing: Tensor) -> dict[str, Tensor]:
        """The loss of one forward pass."""
        raise NotImplementedError

    def losses(self, params: ByName, batch: ByName, smoothing: Tensor) -> Tensor:
        """The loss of each example, by our names: without smoothing, for only means are smoothed.

        Raises:
            SubmissionError: with smoothing, as far as it is a plain number.
        """
        if isinstance(smoothing, int | float) and smoothing:
            self.refuse("`loss_fn` was given label smoothing with a mask or `per_example`")
        assert self.problem is not None
        return self.problem.losses(params, batch)

    def refuse(self, what: str) -> None:
        """Say in one line which part of AlgoPerf's interface is not supported.

        Raises:
            SubmissionError: always.
        """
        advice = "this part of AlgoPerf's interface is not supported"
        raise SubmissionError(f"{self.origin}: {what}; {advice}")

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        # An AttributeError, so that `hasattr` and `getattr` with a default go on.
        raise AttributeError(
            f"{self.origin} uses `workload.{name}`, which is not available to submissions"
        )


def joined(
    draws: Iterator[ByName], batches: int, join: Callable[[list[Tensor]], Tensor]
) -> Iterator[ByName]:
    """Draws, so many of them as one; what all examples share is that of the first."""
    while batches > 1:
        parts = [next(draws) for _ in range(batches)]
        size = max(map(len, parts[0].values()))
        yield {
            name: join([part[name] for part in parts]) if len(value) == size else value
            for name, value in parts[0].items()
        }
    yield from draws


def as_seen(batch: ByName) -> Batch:
    """A batch with AlgoPerf's two keys; the last array of ours is the label, where there is one."""
    *inputs, last = batch
    targets = batch[last]
    return {"inputs": {name: batch[name] for name in inputs} or targets, "targets": targets}


def as_drawn(seen: Batch, names: tuple[str, ...]) -> ByName:
    """The inverse, for a batch of these names."""
    *inputs, last = names
    named = seen["inputs"] if inputs else {}
    return {**{name: named[name] for name in inputs}, last: seen["targets"]}
