"""The base of every family's torch model."""

from __future__ import annotations

import abc
from collections.abc import Sequence

from torch import Generator, Tensor, nn

Tensors = dict[str, Tensor]


class TorchModel(nn.Module, abc.ABC):
    """What `workloads/<family>/model_torch.py` defines.

    Its `named_parameters()` match `Workload.parameters()`, in the same order. A model whose stream
    queries the policy also has `act(observations)`.
    """

    @abc.abstractmethod
    def loss(self, batch: Tensors, generator: Generator) -> tuple[Tensor, Tensors]:
        """Mean loss (0-d) of a training batch, and by-products: sums over its examples (0-d).

        A cross-entropy of labels also takes `smoothing` (see `smoothed`).
        """

    @abc.abstractmethod
    def measure(self, batch: Tensors) -> Tensors:
        """Sums over a training batch's examples, named `Workload.sums`; under `no_grad`."""

    @abc.abstractmethod
    def predict(self, batch: Tensors) -> Tensors:
        """One row per example of the batch, which may lack targets; under `no_grad`."""

    def inspect(self, batch: Tensors) -> Tensors:
        """What diagnostics use of a training batch, under `no_grad`; nothing by default.

        Scalars (0-d); `activity...` (units,), the mean absolute activation of each unit of a
        layer; and `features`, the rows that enter the head.
        """
        return {}

    def project(self) -> None:
        """Project the weights onto the constraint set after an update, in place; default no-op."""


def activity(layers: Sequence[Tensor]) -> Tensors:
    """Mean absolute activation of each unit, by layer, from rows (examples, units)."""
    return {f"activity{at}": rows.float().abs().mean(0) for at, rows in enumerate(layers)}


def smoothed(nats: Tensor, logits: Tensor, smoothing: float) -> Tensor:
    """Mean nats with a share of each label spread evenly over all classes (the last axis)."""
    if not smoothing:
        return nats
    alike = logits.logsumexp(-1).mean() - logits.mean()
    return nats + smoothing * (alike - nats)
