"""Which functions of the harness, or that it calls, have been replaced.

Told, and not prevented.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType

_ROOMS = ("cluster", "workloads", "scoring")
_LIBRARIES = (
    *("jax", "jax.lax", "jax.numpy", "jax.tree", "jax.tree_util"),
    *("json", "math", "numpy", "os", "time"),
)
"""What torch's are is seen to in `learners/world_torch.py`."""
_KINDS = (FunctionType, staticmethod, classmethod, property)
_MOST = 10


class Functions:
    """The functions of the harness's modules, their classes, and libraries, as they are now."""

    def __init__(self) -> None:
        self._before: list[tuple[ModuleType | type, dict[str, object]]] = [
            (holder, dict(_functions(holder)))
            for module in _modules()
            for holder in _holders(module)
        ]
        for name in _LIBRARIES:
            if library := sys.modules.get(name):
                self._before.append((library, dict(_callables(library))))
        # Of a trial before, where several race in one process.
        self._hidden = {(place, name) for place, _, name in _hidden()}

    def replaced(self) -> list[str]:
        """Those that are others now, by name."""
        names = [
            f"{_name(holder)}.{name}"
            for holder, before in self._before
            for name, function in before.items()
            if vars(holder).get(name) is not function
        ]
        names += [
            f"{_name(kind)}.{name} of an object"
            for place, kind, name in _hidden()
            if (place, name) not in self._hidden
        ]
        return sorted(set(names))[:_MOST]


def _modules() -> Iterator[ModuleType]:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in _ROOMS and isinstance(module, ModuleType):
            yield module


def _holders(module: ModuleType) -> Iterator[ModuleType | type]:
    yield module
    for value in list(vars(module).values()):
        if isinstance(value, type) and value.__module__ == module.__name__:
            yield value


def _hidden() -> Iterator[tuple[int, type, str]]:
    """Methods that an object of the harness's has for itself, in the place of its class's.

    With the object's identity and its class.
    """
    kinds = (kind for module in _modules() for kind in _holders(module) if isinstance(kind, type))
    methods = {
        kind: {name for base in kind.__mro__ for name, _ in _functions(base)}.difference(
            getattr(kind, "__dataclass_fields__", ())  # a function there is a field's default
        )
        for kind in kinds
    }
    for one in gc.get_objects():
        kind = type(one)
        if kind in methods:  # of no other object is anything asked, which could run its code
            for name in methods[kind].intersection(getattr(one, "__dict__", ())):
                yield id(one), kind, name


def _functions(holder: ModuleType | type) -> Iterator[tuple[str, object]]:
    for name, value in list(vars(holder).items()):
        if isinstance(value, _KINDS):
            yield name, value


def _callables(library: ModuleType) -> Iterator[tuple[str, object]]:
    for name, value in list(vars(library).items()):
        if callable(value) and not isinstance(value, type) and not name.startswith("_"):
            yield name, value


def _name(holder: ModuleType | type) -> str:
    return (
        f"{holder.__module__}.{holder.__qualname__}"
        if isinstance(holder, type)
        else holder.__name__
    )
