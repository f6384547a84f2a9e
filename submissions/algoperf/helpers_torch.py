"""What an AlgoPerf torch file imports from `pytorch_utils`, and the group it may speak to."""

from __future__ import annotations

from collections.abc import Callable

import torch


def has_accelerator() -> bool:
    """Whether there is a CUDA device here."""
    return torch.cuda.is_available()


def pytorch_setup() -> tuple[bool, int, torch.device, int]:
    """(whether DDP is used, rank, device, number of GPUs): one process, DDP is never used."""
    there = has_accelerator()
    return False, 0, torch.device("cuda:0" if there else "cpu"), int(there)


def join_group_of_one() -> None:
    """A process group whose only member is this process, unless there is one."""
    import torch.distributed as dist

    if dist.is_available() and not dist.is_initialized():
        store = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group("gloo", store=store, rank=0, world_size=1)


HELPERS: dict[str, Callable[..., object]] = {"pytorch_setup": pytorch_setup}
