"""PyTorch's global settings: what a race wants them to be, and giving back what was changed."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import torch

_Place = ModuleType | type[Any]


def taken(cores: int) -> list[str]:
    """What differs from what the harness set, one phrase each."""
    wanted = {
        "gradients are switched off": (torch.is_grad_enabled(), True),
        f"torch runs {torch.get_num_threads()} threads": (torch.get_num_threads(), cores),
        f"the default dtype is {torch.get_default_dtype()}": (
            torch.get_default_dtype(),
            torch.float32,
        ),
        f"matrices are multiplied in {torch.get_float32_matmul_precision()!r} precision": (
            torch.get_float32_matmul_precision(),
            "highest",
        ),
        "algorithms are deterministic": (torch.are_deterministic_algorithms_enabled(), False),
        "denormals are flushed": (_flushes_denormals(), False),
    }
    return [what for what, (setting, right) in wanted.items() if setting != right]


def give_back(cores: int) -> None:
    """Set everything as the harness wants it, functions and optimizers of torch's own included."""
    torch.set_grad_enabled(True)
    torch.set_num_threads(cores)
    torch.set_default_dtype(torch.float32)
    torch.set_float32_matmul_precision("highest")
    if torch.are_deterministic_algorithms_enabled():  # switching it imports torch's compiler
        torch.use_deterministic_algorithms(False)
    torch.set_flush_denormal(False)
    for place, names in _ORIGINAL.items():
        for name, value in names.items():
            if vars(place).get(name) is not value:
                setattr(place, name, value)
    for optimizer, originals in _NAMES.items():
        # What hides an inherited method is a name of its own; torch puts its hooks back itself.
        for name in vars(optimizer).keys() - originals:
            delattr(optimizer, name)


def _flushes_denormals() -> bool:
    return float(torch.full((1,), 2e-39) * 0.5) == 0.0


def _optimizers() -> list[type[Any]]:
    return [value for value in vars(torch.optim).values() if inspect.isclass(value)]


def _original() -> dict[_Place, dict[str, object]]:
    modules: list[_Place] = [torch, torch.nn.functional, torch.nn.init, torch.optim]
    places = [*modules, *_optimizers()]
    return {
        place: {name: value for name, value in vars(place).items() if inspect.isroutine(value)}
        for place in places
    }


_ORIGINAL = _original()
_NAMES = {optimizer: frozenset(vars(optimizer)) for optimizer in _optimizers()}
