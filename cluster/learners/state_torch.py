"""Converts the state of torch algorithms to and from a checkpoint's arrays and plain values."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from cluster.checkpoint import StateError
from scoring.ground.words import StateDict
from submissions.contract import State
from workloads.contract import Array

_ROWS = (list, tuple, deque)
_PLAIN = bool | int | float | str | bytes | np.generic


def to_numpy(value: State, name: str) -> State:
    """Tensors as arrays, objects with a `state_dict` as that, all else as it is.

    Raises:
        StateError: with the path to what cannot be kept.
    """
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided:
            what = f"{name} is a tensor of layout {value.layout}, which a checkpoint cannot save"
            raise StateError(f"{what}; store its indices and values as tensors")
        return _array(value)
    if isinstance(value, Mapping):
        return {key: to_numpy(item, f"{name}/{key}") for key, item in value.items()}
    if isinstance(value, _ROWS):
        items = [to_numpy(item, f"{name}/{i}") for i, item in enumerate(value)]
        return _like(value, items)
    if value is None or isinstance(value, _PLAIN | np.ndarray | set | frozenset):
        return value
    if _has_state(value):
        return to_numpy(value.state_dict(), name)
    raise StateError(
        f"{name} is a {type(value).__qualname__}, which a checkpoint cannot save; use tensors, "
        "numbers, text, lists, tuples, sets, deques, dicts, or objects with `state_dict` and "
        "`load_state_dict`"
    )


def asked(value: State) -> State:
    """Every object that has a `state_dict` as that: to be called on the clock, since it may work.

    What is left can be copied while the clock stands, without a call into the submission's code.
    """
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, Mapping):
        return {key: asked(item) for key, item in value.items()}
    if isinstance(value, _ROWS):
        return _like(value, [asked(item) for item in value])
    return asked(value.state_dict()) if _has_state(value) else value


def to_torch(value: State, device: torch.device) -> State:
    """The inverse, with arrays as tensors; objects are left as their `state_dict`."""
    if isinstance(value, np.ndarray):
        if value.dtype.name == "bfloat16":
            bits = torch.from_numpy(value.view(np.uint16).copy(order="K"))
            return bits.view(torch.bfloat16).to(device)
        return torch.from_numpy(value.copy(order="K")).to(device)
    if isinstance(value, dict):
        return {key: to_torch(item, device) for key, item in value.items()}
    if isinstance(value, _ROWS):
        return _like(value, [to_torch(item, device) for item in value])
    return value


def into_objects(saved: State, fresh: State) -> State:
    """`saved`, with the objects of `fresh` that have a `load_state_dict` in their places.

    What is an array there is one again: `to_torch` cannot tell it from a tensor's.
    """
    if isinstance(fresh, torch.optim.Optimizer):
        load_optimizer(fresh, saved)
        return fresh
    if _has_state(fresh):
        fresh.load_state_dict(saved)
        return fresh
    if isinstance(fresh, np.ndarray) and isinstance(saved, torch.Tensor):
        return saved.cpu().numpy()
    if isinstance(saved, dict) and isinstance(fresh, Mapping):
        return {key: into_objects(item, fresh.get(key)) for key, item in saved.items()}
    if isinstance(saved, _ROWS) and isinstance(fresh, _ROWS):
        beside = [*fresh, *([None] * len(saved))]
        return _like(saved, [into_objects(a, b) for a, b in zip(saved, beside, strict=False)])
    return saved


def load_optimizer(optimizer: torch.optim.Optimizer, saved: StateDict) -> None:
    """`load_state_dict`, with every tensor of the type that it was saved in.

    torch casts an optimizer's state to the type of its parameters, so that a moment in bfloat16
    would come back as float32.
    """
    optimizer.load_state_dict(saved)
    state = getattr(optimizer, "state", None)
    if not (isinstance(saved, dict) and {"state", "param_groups"} <= set(saved)) or not state:
        return
    ids = [number for group in saved["param_groups"] for number in group["params"]]
    params = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, parameter in zip(ids, params, strict=True):
        if number in saved["state"] and parameter in state:
            state[parameter] = _typed(state[parameter], saved["state"][number])


def in_order(saved: StateDict, then: Sequence[str], now: Sequence[str]) -> StateDict:
    """An optimizer's state for one that was given the same parameters in another order.

    A `state_dict` tells parameters by their places alone, and packages that sort them by a set
    have another order in every process. `then` and `now` are the names by place, group by group.
    """
    groups = saved.get("param_groups") if isinstance(saved, dict) else None
    if then == now or "" in now or sorted(then) != sorted(now) or not groups:
        return saved
    places = [place for group in groups for place in group["params"]]
    place_of = dict(zip(then, places, strict=True))
    names = iter(now)
    again = [
        {**group, "params": [place_of[next(names)] for _ in group["params"]]} for group in groups
    ]
    return {**saved, "param_groups": again}


def _typed(loaded: State, saved: State) -> State:
    if isinstance(loaded, torch.Tensor) and isinstance(saved, torch.Tensor):
        return loaded if loaded.dtype == saved.dtype else saved.to(loaded.device)
    if isinstance(loaded, dict) and isinstance(saved, dict):
        return {k: _typed(v, saved[k]) if k in saved else v for k, v in loaded.items()}
    if isinstance(loaded, list) and isinstance(saved, list) and len(loaded) == len(saved):
        return [_typed(a, b) for a, b in zip(loaded, saved, strict=True)]
    return loaded


def _array(tensor: torch.Tensor) -> Array:
    """A copy that lies in memory as the tensor does: sums of a product follow that order."""
    tensor = tensor.detach().cpu()
    order = sorted(range(tensor.ndim), key=lambda axis: -tensor.stride()[axis])
    if not tensor.permute(order).is_contiguous():
        order, tensor = list(range(tensor.ndim)), tensor.contiguous()
    laid, back = tensor.permute(order), np.argsort(order)
    if tensor.dtype == torch.bfloat16:
        import ml_dtypes

        bits: Array = laid.view(torch.uint16).numpy().copy().view(ml_dtypes.bfloat16)
        return bits.transpose(back)
    copied: Array = laid.numpy().copy()
    return copied.transpose(back)


def _like(value: Sequence[State], items: list[State]) -> Sequence[State]:
    if isinstance(value, deque):
        return deque(items, value.maxlen)
    return tuple(items) if isinstance(value, tuple) else items


def _has_state(value: object) -> bool:
    return all(callable(getattr(value, name, None)) for name in ("state_dict", "load_state_dict"))
