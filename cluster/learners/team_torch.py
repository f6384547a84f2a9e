"""What the ranks of a torch trial do together: the average of gradients and of losses.

The averages are functions that can be differentiated themselves, twice or more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta

import torch
import torch.distributed as together
from torch._C._distributed_c10d import FileStore
from torch.autograd.function import FunctionCtx
from torch.utils.hooks import RemovableHandle

from cluster.learners.contract import Rank
from workloads.model_torch import Tensors

_PATIENCE = timedelta(minutes=10)
Loss = Callable[..., tuple[torch.Tensor, Tensors]]


class _Average(torch.autograd.Function):
    """The mean over ranks; so is its gradient."""

    @staticmethod
    def forward(ctx: FunctionCtx, value: torch.Tensor) -> torch.Tensor:
        summed = value.detach().clone(memory_format=torch.contiguous_format)
        together.all_reduce(summed)
        return summed / together.get_world_size()

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        return average(gradient)


class _Shared(torch.autograd.Function):
    """A weight as it is, whose gradient is averaged over ranks."""

    @staticmethod
    def forward(ctx: FunctionCtx, value: torch.Tensor) -> torch.Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        return average(gradient)


def average(value: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over ranks, the same on each."""
    return _Average.apply(value)


class TorchTeam:
    """The ranks of a trial as one of them sees them."""

    def __init__(
        self,
        rank: Rank,
        device: torch.device,
        generator: torch.Generator,
        summed: Collection[str] = (),
    ) -> None:
        """By-products of the loss named in `summed` are sums over examples, the others means."""
        self._rank = rank
        self._summed = summed
        self._device = device
        self._generator = generator
        if together.is_initialized() and together.get_world_size() != rank.size:
            together.destroy_process_group()  # that of one, of a file raced here before
        if not together.is_initialized():
            together.init_process_group(
                "nccl" if device.type == "cuda" else "gloo",
                store=FileStore(rank.store, rank.size),
                rank=rank.number,
                world_size=rank.size,
                timeout=_PATIENCE,
            )

    def share(self, params: Tensors) -> Tensors:
        """Weights at which a loss may be taken, and their gradients are averaged."""
        return {
            name: _Shared.apply(value) if value.requires_grad else value
            for name, value in params.items()
        }

    def loss(
        self, loss: Loss, batch: Tensors, generator: torch.Generator, *more: object
    ) -> tuple[torch.Tensor, Tensors]:
        """The mean loss of the whole batch and its by-products, each rank taking its share.

        A batch that cannot be divided evenly is every rank's own.
        """
        part = self._part(batch)
        if part is None:
            return loss(batch, generator, *more)
        value, sums = loss(part, self._own(), *more)
        whole = torch.stack([value.detach(), *(item.detach().to(value) for item in sums.values())])
        together.all_reduce(whole)
        means = whole / self._rank.size
        told = {
            name: (whole if name in self._summed else means)[at]
            for at, name in enumerate(sums, start=1)
        }
        # The mean's value with the gradient of the share: the gradients are averaged on their way.
        return value + (means[0] - value.detach()), told

    def _part(self, batch: Tensors) -> Tensors | None:
        share = self._rank.share(batch)
        if share is None:
            return None
        mine, rows = share
        return {name: value[mine] if name in rows else value for name, value in batch.items()}

    def _own(self) -> torch.Generator:
        """What is drawn within a loss differs between ranks, and follows from the trial's seed."""
        seed = torch.randint(2**62, (), generator=self._generator, device=self._device)
        return torch.Generator(self._device).manual_seed(int(seed) + self._rank.number)


def average_gradients_of(params: Tensors) -> list[RemovableHandle]:
    """From now on; what comes back removes it."""

    def averaged(gradient: torch.Tensor) -> torch.Tensor:
        return average(gradient)

    return [value.register_hook(averaged) for value in params.values()]


def leave() -> None:
    """The ranks part."""
    if together.is_initialized():
        together.destroy_process_group()
