"""PyTorch's global settings: the values a race requires, and restoring them after changes."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torch
from torch.utils._device import DeviceContext

from cluster.learners.contract import refuse_other_arithmetic

_Place = ModuleType | type[Any]


def taken(cores: int) -> list[str]:
    """What differs from what the harness set, one phrase each."""
    if _modes():  # which would see the questions, too
        return ["a mode that intercepts every torch operation is left on"]
    wanted = {
        "gradients are switched off": (torch.is_grad_enabled(), True),
        f"torch runs {torch.get_num_threads()} threads": (torch.get_num_threads(), cores),
        f"the default dtype is {torch.get_default_dtype()}": (
            torch.get_default_dtype(),
            torch.float32,
        ),
        f"matrices are multiplied in {_matmul_precision()!r} precision": (
            _matmul_precision(),
            "highest",
        ),
        "autocast is switched on": (_autocasts(), []),
        "inference mode is switched on": (torch.is_inference_mode_enabled(), False),
        f"the default device is {torch.get_default_device()}": (
            torch.get_default_device(),
            _DEVICE,
        ),
        "algorithms are deterministic": (torch.are_deterministic_algorithms_enabled(), False),
        "denormals are flushed": (_flushes_denormals(), False),
    }
    changes = [what for what, (setting, right) in wanted.items() if setting != right]
    if any(_HOOKS):
        changes.append("a hook runs at every module's call")
    return [*changes, *_odd_precisions(), *_replaced()]


def _odd_precisions() -> list[str]:
    """The backends whose own precision was changed, one phrase each."""
    return [
        f"{place}.fp32_precision is {value!r}"
        for place, value in _precisions().items()
        if value != _PRECISIONS[place] and not {value, _PRECISIONS[place]} <= _SAME
    ]


def see_that_loss_is_the_races(kind: str, weights: Mapping[str, torch.Tensor]) -> None:
    """A loss is about to be taken: in the workload's arithmetic, whatever it was a moment ago.

    What is switched on round a single loss is off again when `taken` looks.

    Raises:
        SubmissionError: it would be taken in another one.
    """
    what = ""
    if torch.is_autocast_enabled(kind):
        what = "autocast is switched on"
    elif (precision := _matmul_precision()) != "highest":
        phrases = [f"matrices are multiplied in {precision!r} precision", *_odd_precisions()]
        what = ", ".join(phrases)
    else:
        odd = next((name for name, p in weights.items() if p.dtype is not torch.float32), None)
        what = f"{odd!r} is {weights[odd].dtype}" if odd is not None else ""
    if what:
        refuse_other_arithmetic(what)


def give_back(cores: int) -> None:
    """Set everything as the harness wants it, functions and optimizers of torch's own included."""
    _leave_modes()
    torch.set_grad_enabled(True)
    torch.set_num_threads(cores)
    torch.set_default_dtype(torch.float32)
    _give_back_precision()
    torch.set_float32_matmul_precision("highest")
    if torch.are_deterministic_algorithms_enabled():  # switching it imports torch's compiler
        torch.use_deterministic_algorithms(False)
    torch.set_flush_denormal(False)
    for hooks in _HOOKS:
        hooks.clear()
    _give_back_functions()


def _give_back_functions() -> None:
    for name in vars(torch.Tensor).keys() - _TENSOR:
        if hasattr(_BASE, name):
            delattr(torch.Tensor, name)
    for place, names in _ORIGINAL.items():
        for name, value in names.items():
            if vars(place).get(name) is not value:
                setattr(place, name, value)
    for optimizer, originals in _NAMES.items():
        # What hides an inherited method is a name of its own; torch puts its hooks back itself.
        for name in vars(optimizer).keys() - originals:
            delattr(optimizer, name)


def _give_back_precision() -> None:
    if torch.get_default_device() != _DEVICE:
        torch.set_default_device(None)
    for kind in _autocasts():
        torch.set_autocast_enabled(kind, False)
    for place, value in _precisions().items():
        if value != _PRECISIONS[place]:
            _BACKENDS[place].fp32_precision = _PRECISIONS[place]


def _matmul_precision() -> str:
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # one backend's was set apart
        return "mixed"


def _autocasts() -> list[str]:
    return [kind for kind in ("cpu", "cuda") if torch.is_autocast_enabled(kind)]


def _precisions() -> dict[str, str]:
    return {place: str(backend.fp32_precision) for place, backend in _BACKENDS.items()}


def _is_torchs(value: object) -> bool:
    """Its compiler, once imported, wraps some of them."""
    code = getattr(value, "__code__", None)
    return code is not None and code.co_filename.startswith(_HOME)


def _modes() -> int:
    """How many are on, but for that which is the default device."""
    places = range(torch._C._len_torch_function_stack())
    modes = [torch._C._get_function_stack_at(place) for place in places]
    others = sum(not isinstance(mode, DeviceContext) for mode in modes)
    return others + torch._C._len_torch_dispatch_stack()


def _leave_modes() -> None:
    if _modes():
        while torch._C._len_torch_function_stack():
            torch._C._pop_torch_function_stack()
        while torch._C._len_torch_dispatch_stack():
            torch._C._pop_torch_dispatch_stack(None)


def _replaced() -> list[str]:
    """Torch's functions, and methods of its tensors, that are another's now."""
    odd = [
        f"{place.__name__}.{name}"
        for place, names in ((place, _ORIGINAL[place]) for place in _TOLD)
        for name, value in names.items()
        if vars(place).get(name) is not value and not _is_torchs(vars(place).get(name))
    ]
    hidden = vars(torch.Tensor).keys() - _TENSOR
    odd += [f"torch.Tensor.{name}" for name in sorted(hidden) if hasattr(_BASE, name)]
    if not odd:
        return []
    return [f"{', '.join(odd[:_SHOWN])}{' and more' * (len(odd) > _SHOWN)} is not torch's own"]


def _flushes_denormals() -> bool:
    return float(torch.full((1,), 2e-39, device=_DEVICE) * 0.5) == 0.0


def _optimizers() -> list[type[Any]]:
    return [value for value in vars(torch.optim).values() if inspect.isclass(value)]


def _original() -> dict[_Place, dict[str, object]]:
    modules: list[_Place] = [torch, torch.nn.functional, torch.nn.init, torch.optim]
    places = [*modules, torch.Tensor, *_optimizers()]
    return {
        place: {name: value for name, value in vars(place).items() if inspect.isroutine(value)}
        for place in places
    }


_HOOKS: list[dict[int, Any]] = [
    value
    for name, value in vars(torch.nn.modules.module).items()
    if name.startswith("_global_") and name.endswith("_hooks")
]
"""Those of all modules at once, of which evaluations call some."""
_PLACES = (
    *("", "mkldnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn"),
    *("cuda.matmul", "cudnn", "cudnn.conv", "cudnn.rnn"),
)
_BACKENDS: dict[str, Any] = {
    f"torch.backends.{place}".rstrip("."): operator.attrgetter(place)(torch.backends)
    if place
    else torch.backends
    for place in _PLACES
}
"""Each has a precision of its own, beside the one of all matrices."""
_SAME = {"none", "ieee"}
_HOME = torch.__file__.removesuffix("__init__.py")
_DEVICE = torch.get_default_device()
_PRECISIONS = _precisions()
_ORIGINAL = _original()
_SHOWN = 5
_TOLD: tuple[_Place, ...] = (torch, torch.nn.functional, torch.Tensor)
_TENSOR, _BASE = frozenset(vars(torch.Tensor)), torch._C.TensorBase
"""Of the methods that hide those of `_BASE`, these are torch's own."""
_NAMES = {optimizer: frozenset(vars(optimizer)) for optimizer in _optimizers()}
