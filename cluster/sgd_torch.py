"""Plain SGD on a torch model, without the harness: one side of the parity comparison."""

from __future__ import annotations

from typing import Any

import torch

from workloads.contract import Array, Batch, Weights


def sgd_run(
    model: Any, weights: Weights, batches: list[Batch], rate: float
) -> tuple[Array, Weights, Array]:
    """Loss and gradients on the first batch, and the loss there after one step on each batch."""
    params = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in params.items():
            parameter.copy_(torch.tensor(weights[name]))
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
