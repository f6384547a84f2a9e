"""Search spaces in AlgoPerf's format: ranges and feasible points by name, or a list of points.

{"lr": {"min": 1e-4, "max": 1e-1, "scaling": "log"}, "decay": {"feasible_points": ["cosine"]}}
[{"lr": 1e-3, "decay": "cosine"}, {"lr": 3e-3, "decay": "cosine"}]
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal

from scoring.ground.errors import nearest
from scoring.ground.words import Facts, Scalar

Scaling = Literal["linear", "log"]


def is_finite(value: float) -> bool:
    """Whether it is a number that a float can hold, which not every whole number is."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def shown(value: object) -> str:
    """Its `repr`, except for integers of thousands of digits, for which Python has none."""
    try:
        return repr(value)
    except ValueError:
        return "an integer with more digits than Python prints"


class SpaceError(ValueError):
    """A search space that is not in AlgoPerf's format.

    `path` leads to the wrong part: a hyperparameter's name or a point's index, and a key in it.
    """

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.path = path


@dataclasses.dataclass(frozen=True)
class Range:
    """Every number from `low` to `high`, uniform in the value or in its logarithm.

    When both ends are written as integers, only the integers between them, both included.
    """

    low: float
    high: float
    scaling: Scaling

    def at(self, u: float) -> Scalar:
        """The value at the fraction `u` in [0, 1) of the range."""
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        # Integers are the floors of a range one longer, so that both ends are drawn alike.
        low, high = self.low, self.high + 1 if whole else self.high
        if self.scaling == "log":
            value = math.exp(math.log(low) + u * (math.log(high) - math.log(low)))
        else:
            value = low + u * (high - low)
        # Rounding in exp and log may leave the range by a unit in the last place.
        return min(max(math.floor(value) if whole else value, self.low), self.high)

    def to_json(self) -> dict[str, object]:
        """AlgoPerf's form."""
        return {"min": self.low, "max": self.high, "scaling": self.scaling}


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of a few values, each as likely as another."""

    values: tuple[Scalar, ...]

    def at(self, u: float) -> Scalar:
        """The value at the fraction `u` in [0, 1) of the list."""
        return self.values[int(u * len(self.values))]

    def to_json(self) -> dict[str, object]:
        """AlgoPerf's form."""
        return {"feasible_points": list(self.values)}


@dataclasses.dataclass(frozen=True)
class SearchSpace:
    """What tuning may try: either `dimensions` by name, or `points` in the order to be tried.

    `points` is None for a space of dimensions; `dimensions` is empty for a list of points.
    """

    dimensions: Mapping[str, Range | Choice]
    points: tuple[dict[str, Scalar], ...] | None = None

    @classmethod
    def parse(cls, form: object) -> SearchSpace:
        """Read AlgoPerf's form, from Python literals or from `tuning_search_space.json`.

        Raises:
            SpaceError: with the path to what is wrong.
        """
        if isinstance(form, list | tuple):
            return cls({}, _points(form))
        if not isinstance(form, dict):
            raise SpaceError("must be a dict of ranges or a list of points")
        if not form:
            raise SpaceError("is empty; leave it out when there is nothing to tune")
        return cls({_name(name, name): _dimension(name, form[name]) for name in form})

    @property
    def names(self) -> tuple[str, ...]:
        """The hyperparameters it sets, in the order of the unit cube's axes."""
        return tuple(self.points[0]) if self.points else tuple(self.dimensions)

    def at(self, u: Sequence[float]) -> dict[str, Scalar]:
        """The hyperparameters at a point of the unit cube [0, 1)^d, one axis a dimension.

        Raises:
            ValueError: a list of points (it has no axes), a wrong length or a value outside.
        """
        if self.points is not None:
            raise ValueError("a list of points is tried in order, not sampled")
        if len(u) != len(self.dimensions) or not all(0 <= value < 1 for value in u):
            raise ValueError(f"expected {len(self.dimensions)} numbers in [0, 1), got {list(u)}")
        axes = zip(self.dimensions.items(), u, strict=True)
        return {name: dimension.at(float(value)) for (name, dimension), value in axes}

    def to_json(self) -> dict[str, object] | list[dict[str, object]]:
        """The form that `parse` reads back to an equal space."""
        if self.points is not None:
            return [dict(point) for point in self.points]
        return {name: dimension.to_json() for name, dimension in self.dimensions.items()}


def _name(name: object, *path: str | int) -> str:
    if isinstance(name, str):
        return name
    raise SpaceError(f"{name!r} must be the name of an argument of `submission`", *path)


def _dimension(name: str, form: object) -> Range | Choice:
    if not isinstance(form, dict) or ("feasible_points" not in form and "min" not in form):
        expected = '{"min": .., "max": .., "scaling": "linear" or "log"} or {"feasible_points": ..}'
        raise SpaceError(f"{name!r} must be {expected}", name)
    valid = ("feasible_points",) if "feasible_points" in form else ("min", "max", "scaling")
    for key in form:
        if key not in valid:
            raise SpaceError(
                f"{name!r} has the unknown key {key!r}{nearest(str(key), valid)}", name
            )
    return _choice(name, form) if "feasible_points" in form else _range(name, form)


def _choice(name: str, form: Facts) -> Choice:
    values = form["feasible_points"]
    if not isinstance(values, list | tuple) or not values:
        raise SpaceError(f"{name!r}: `feasible_points` must be a list of at least one value", name)
    for value in values:
        _refuse_nested(name, value, name, "feasible_points")
    return Choice(tuple(values))


def _range(name: str, form: Facts) -> Range:
    for key in ("min", "max"):
        value = form.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not is_finite(value):
            raise SpaceError(
                f"{name!r}: `{key}` must be a finite number, found {shown(value)}", name, key
            )
    low, high, scaling = form["min"], form["max"], form.get("scaling")
    if scaling not in ("linear", "log"):
        problem = f"found {scaling!r}" if "scaling" in form else "which is missing"
        raise SpaceError(
            f"{name!r}: `scaling` must be 'linear' or 'log', {problem}", name, "scaling"
        )
    if low >= high:
        raise SpaceError(
            f"{name!r}: `min` must be below `max`, found {low} and {high}", name, "min"
        )
    if scaling == "log" and low <= 0:
        raise SpaceError(f"{name!r}: log scaling needs `min` above 0, found {low}", name, "min")
    return Range(low, high, scaling)


def _points(form: Sequence[object]) -> tuple[dict[str, Scalar], ...]:
    if not form:
        raise SpaceError("is an empty list; leave it out when there is nothing to tune")
    points: list[dict[str, Scalar]] = []
    for index, point in enumerate(form):
        if not isinstance(point, dict) or not point:
            raise SpaceError(f"point {index} must be a dict of hyperparameters", index)
        for name, value in point.items():
            _refuse_nested(_name(name, index), value, index, name)
        if points and set(point) != set(points[0]):
            odd = sorted(set(point) ^ set(points[0]))
            raise SpaceError(f"point {index} and point 0 differ in {', '.join(odd)}", index)
        points.append(dict(point))
    return tuple(points)


def _refuse_nested(name: str, value: object, *path: str | int) -> None:
    plain = value is None or isinstance(value, bool | int | float | str)
    if not plain or (isinstance(value, int | float) and not is_finite(value)):
        what = "a value must be a number, a string, True, False or None"
        raise SpaceError(f"{name!r}: {what}, found {shown(value)}", *path)
