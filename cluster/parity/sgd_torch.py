"""Plain SGD on a torch model, without the harness: one side of the parity comparison."""

from __future__ import annotations

from typing import Any

import torch

from workloads.contract import Array, Batch, Weights


class StillPolicy:
    """The `workloads.contract.Policy` of a model that does not learn: kept or not is the same."""

    def __init__(self, model: Any, weights: Weights) -> None:
        self._model = model
        _load(model, weights)

    def __call__(self, observations: Array, /) -> Array:
        """What the model makes of them."""
        with torch.no_grad():
            return self._model.act(torch.from_numpy(observations)).numpy()

    def keep(self) -> None:
        """Nothing: the weights stand still."""

    def kept(self, observations: Array, /) -> Array:
        """As a call."""
        return self(observations)


def sgd_run(
    model: Any, weights: Weights, batches: list[Batch], rate: float
) -> tuple[Array, Weights, Array]:
    """Loss and gradients on the first batch, and the loss there after one step on each batch."""
    params = dict(model.named_parameters())
    _load(model, weights)
    generator = torch.Generator().manual_seed(0)
    first: tuple[Array, Weights] | None = None
    for batch in [*batches, batches[0]]:
        tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
        loss, _ = model.loss(tensors, generator)
        gradients = torch.autograd.grad(loss, list(params.values()))
        if first is None:
            named = zip(params, gradients, strict=True)
            first = loss.detach().numpy(), {name: value.numpy() for name, value in named}
        with torch.no_grad():
            for parameter, gradient in zip(params.values(), gradients, strict=True):
                parameter.sub_(gradient, alpha=rate)
            model.project()
    assert first is not None
    return *first, loss.detach().numpy()


def _load(model: Any, weights: Weights) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.tensor(weights[name]))
