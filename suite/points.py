"""Whether the values of fixed hyperparameter points can be meant for a submission."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from scoring.ground.words import Scalar
from submissions.source import Source
from submissions.space import Choice, Range


def wrong_values(source: Source, point: Mapping[str, Scalar]) -> Iterator[tuple[str, str]]:
    """Names of the values that are of another type than the default, or outside the space."""
    dimensions = source.space.dimensions if source.space else {}
    for name, value in point.items():
        if isinstance(value, float) and not math.isfinite(value):
            yield name, f"expected a finite number, found {value}"
        elif name in source.defaults and not _alike(source.defaults[name], value):
            default = source.defaults[name]
            yield name, f"expected {_kind(default)} as the default {default!r}, found {value!r}"
        elif (space := dimensions.get(name)) is not None and not _inside(space, value):
            yield name, f"{value!r} is outside of the search space of {source.name}"


def _alike(default: Any, value: Scalar) -> bool:
    if default is None or value is None or not isinstance(default, (bool, int, float, str)):
        return True
    numbers = (int, float)
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, numbers):
        # A whole default may stand for any number: `lr=1`.
        return isinstance(value, numbers)
    return isinstance(value, str)


def _inside(space: Range | Choice, value: Scalar) -> bool:
    if isinstance(space, Choice):
        return value in space.values
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and space.low <= float(value or 0) <= space.high


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "text" if isinstance(value, str) else "a number"
