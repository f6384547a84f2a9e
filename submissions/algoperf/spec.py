"""What an AlgoPerf file imports as `spec`: our own stand-in, of the names that such files use."""

from __future__ import annotations

import enum
from types import ModuleType
from typing import Any


class LossType(enum.Enum):
    """The kinds of losses."""

    SOFTMAX_CROSS_ENTROPY = 0
    SIGMOID_CROSS_ENTROPY = 1
    MEAN_SQUARED_ERROR = 2
    CTC_LOSS = 3
    MEAN_ABSOLUTE_ERROR = 4


class ForwardPassMode(enum.Enum):
    """What a forward pass is for; the models here are the same in both."""

    TRAIN = 0
    EVAL = 1


class ParameterType(enum.Enum):
    """What a parameter is in its model."""

    WEIGHT = 0
    BIAS = 1
    CONV_WEIGHT = 2
    BATCH_NORM_SCALE = 3
    BATCH_NORM_BIAS = 4
    LAYER_NORM_SCALE = 5
    LAYER_NORM_BIAS = 6
    EMBEDDING = 7
    ATTENTION_Q = 8
    ATTENTION_K = 9
    ATTENTION_V = 10
    ATTENTION_OUT = 11
    ATTENTION_QKV = 12
    ATTENTION_KV = 13
    ATTENTION_BIAS = 14


class ShapeTuple:
    """A shape as one leaf of a tree, where a tuple would be a branch."""

    def __init__(self, shape_tuple: tuple[int, ...]) -> None:
        self.shape_tuple = tuple(shape_tuple)

    def __repr__(self) -> str:
        return f"ShapeTuple({self.shape_tuple})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShapeTuple) and self.shape_tuple == other.shape_tuple

    def __hash__(self) -> int:
        return hash(self.shape_tuple)


class Workload:
    """What annotations name; the object itself is `submissions.algoperf.view.View`."""


class TrainingCompleteError(Exception):
    """A file's way to say that it has trained enough: one last evaluation, and the end."""


_NAMES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        LossType,
        ForwardPassMode,
        ParameterType,
        ShapeTuple,
        Workload,
        TrainingCompleteError,
    )
}


class _Spec(ModuleType):
    """Every other public name is a type alias, which only annotations use."""

    def __getattr__(self, name: str) -> Any:
        # torch and inspect ask modules for `__path__`, `__wrapped__` and the like.
        if name.startswith("_"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return Any


def make_spec(package: str) -> ModuleType:
    """A fresh `spec` module, so that what one file changes in it no other meets."""
    module = _Spec(f"{package}.spec", "AlgoPerf's types, as far as submissions use them.")
    vars(module).update(_NAMES)
    return module
