"""The base of every family's torch model."""

from __future__ import annotations

import abc
from collections.abc import Sequence

from torch import Generator, Tensor, nn

Tensors = dict[str, Tensor]


class TorchModel(nn.Module, abc.ABC):
    """What `workloads/<family>/model_torch.py` defines.

    Its `named_parameters()` are `Workload.parameters()`, in the same order. Where a stream asks
    the learner, it also has `act(observations)`.
    """

    @abc.abstractmethod
    def loss(self, batch: Tensors, generator: Generator) -> tuple[Tensor, Tensors]:
        """Mean loss (0-d) of a training batch and by-products, sums over its examples (0-d).

        One that is a cross-entropy of labels takes `smoothing` besides (`smoothed`).
        """

    @abc.abstractmethod
    def measure(self, batch: Tensors) -> Tensors:
        """Sums over a training batch's examples, named `Workload.sums`; under `no_grad`."""

    @abc.abstractmethod
    def predict(self, batch: Tensors) -> Tensors:
        """Rows, one an example of the batch, which need not hold targets; under `no_grad`."""

    def inspect(self, batch: Tensors) -> Tensors:
        """What diagnostics look at in a training batch, under `no_grad`; here nothing.

        Numbers (0-d), `activity...` (units,), the mean size of each unit of a layer, and
        `features`, rows of what goes into the head.
        """
        return {}

    def project(self) -> None:
        """Bring the weights back where they belong after an update, in place; here nothing."""


def activity(layers: Sequence[Tensor]) -> Tensors:
    """The mean size of each unit, by layer: of rows (examples, units)."""
    return {f"activity{at}": rows.float().abs().mean(0) for at, rows in enumerate(layers)}


def smoothed(nats: Tensor, logits: Tensor, smoothing: float) -> Tensor:
    """The mean nats if a share of each label were given to all classes (the last axis) alike."""
    if not smoothing:
        return nats
    alike = logits.logsumexp(-1).mean() - logits.mean()
    return nats + smoothing * (alike - nats)
