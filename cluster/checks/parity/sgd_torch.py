"""Plain SGD on a torch model, without the harness: one side of the parity comparison."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import torch

from cluster.checks.parity.step import Step
from workloads.contract import Array, Batch, Judged, Weights
from workloads.model_torch import Tensors, TorchModel


class StillPolicy:
    """The `workloads.contract.Policy` of a model that does not learn: kept or not is the same."""

    def __init__(self, model: TorchModel, weights: Weights) -> None:
        _load(model, weights)
        self._act: Callable[[torch.Tensor], torch.Tensor] = getattr(model, "act", _no_act)

    def __call__(self, observations: Array, /) -> Array:
        """What the model makes of them."""
        with torch.no_grad():
            return self._act(torch.from_numpy(observations)).numpy()

    def keep(self) -> None:
        """Nothing: the weights stand still."""

    def kept(self, observations: Array, /) -> Array:
        """As a call."""
        return self(observations)


def sgd_steps(
    model: TorchModel, weights: Weights, batches: list[Batch], rate: float
) -> Iterator[Step]:
    """Train by plain SGD, one step a batch."""
    params = dict(model.named_parameters())
    _load(model, weights)
    generator = torch.Generator().manual_seed(0)
    before = weights
    for batch in batches:
        tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
        loss, _ = model.loss(tensors, generator)
        gradients = torch.autograd.grad(loss, list(params.values()))
        with torch.no_grad():
            for parameter, gradient in zip(params.values(), gradients, strict=True):
                parameter.sub_(gradient, alpha=rate)
            model.project()
        after = {name: value.detach().numpy().copy() for name, value in params.items()}
        named = zip(params, gradients, strict=True)
        yield Step(
            before, loss.detach().numpy(), {name: value.numpy() for name, value in named}, after
        )
        before = after


def judged(model: TorchModel, weights: Weights) -> Judged:
    """The model at these weights, as an evaluation sees it."""
    _load(model, weights)

    def ask(answers: Callable[[Tensors], Tensors], batch: Batch) -> dict[str, Array]:
        with torch.no_grad():
            sums = answers({name: torch.from_numpy(value) for name, value in batch.items()})
        return {name: value.numpy() for name, value in sums.items()}

    return Judged(
        functools.partial(ask, model.measure),
        functools.partial(ask, model.predict),
        lambda: {name: value.copy() for name, value in weights.items()},
    )


def sums_of(model: TorchModel, weights: Weights, batch: Batch) -> dict[str, float]:
    """The by-products of the loss of a batch at these weights."""
    _load(model, weights)
    tensors = {name: torch.from_numpy(value) for name, value in batch.items()}
    with torch.no_grad():
        _, sums = model.loss(tensors, torch.Generator().manual_seed(0))
    return {name: float(value) for name, value in sums.items()}


def _no_act(observations: torch.Tensor) -> torch.Tensor:
    raise LookupError("its models have no `act`, and its stream asks for it")


def _load(model: TorchModel, weights: Weights) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.tensor(weights[name]))
