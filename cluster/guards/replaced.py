"""Which of the harness's own functions are others than they were: told, and not prevented."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType

_ROOMS = ("cluster", "workloads", "scoring")
_KINDS = (FunctionType, staticmethod, classmethod, property)
_MOST = 10


class Functions:
    """The functions of the harness's modules, and of their classes, as they are now."""

    def __init__(self) -> None:
        self._before = [
            (holder, dict(_functions(holder)))
            for module in _modules()
            for holder in _holders(module)
        ]

    def replaced(self) -> list[str]:
        """Those that are others now, by name."""
        names = [
            f"{_name(holder)}.{name}"
            for holder, before in self._before
            for name, function in before.items()
            if vars(holder).get(name) is not function
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


def _functions(holder: ModuleType | type) -> Iterator[tuple[str, object]]:
    for name, value in list(vars(holder).items()):
        if isinstance(value, _KINDS):
            yield name, value


def _name(holder: ModuleType | type) -> str:
    return (
        f"{holder.__module__}.{holder.__qualname__}"
        if isinstance(holder, type)
        else holder.__name__
    )
