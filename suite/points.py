"""Fixed hyperparameter points: as typed, and whether their values can be meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import yaml

from scoring.ground.documents import ConfigError
from scoring.ground.errors import nearest
from scoring.ground.words import Point, Scalar
from submissions.source import Source
from submissions.space import Choice, Range, is_finite


def stated_point(source: Source, texts: Sequence[str]) -> Point:
    """The hyperparameters typed as `-p NAME=VALUE`.

    Raises:
        ConfigError: another form, a hyperparameter that the submission does not have, or a value of
            another kind than its default.
    """
    point: Point = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"-p {text}: expected NAME=VALUE, as in -p lr=0.01")
        if name not in source.hyperparameters:
            hint = nearest(name, source.hyperparameters)
            raise ConfigError(f"-p {text}: {source.name} has no hyperparameter {name!r}{hint}")
        point[name] = _value(source, name, value, f"-p {text}")
    return point


def _value(source: Source, name: str, text: str, where: str) -> Scalar:
    try:
        read = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        read = []
    value = _number(read) if isinstance(read, str) else read
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise ConfigError(f"{where}: expected a number, text, true or false")
    if isinstance(value, (int, float)) and not is_finite(value):
        raise ConfigError(f"{where}: expected a finite number")
    if name in source.defaults and not _alike(source.defaults[name], value):
        default = source.defaults[name]
        raise ConfigError(f"{where}: expected {_kind(default)}, like the default {default!r}")
    return value


def _number(text: str) -> float | str:
    # YAML takes 1e-3 for text.
    try:
        return float(text)
    except ValueError:
        return text


def wrong_values(source: Source, point: Mapping[str, Scalar]) -> Iterator[tuple[str, str]]:
    """Names of the values that are of another type than the default, or outside the space."""
    dimensions = source.space.dimensions if source.space else {}
    for name, value in point.items():
        if isinstance(value, (int, float)) and not is_finite(value):
            yield name, f"expected a finite number, found {value}"
        elif name in source.defaults and not _alike(source.defaults[name], value):
            default = source.defaults[name]
            yield name, f"expected {_kind(default)}, like the default {default!r}, found {value!r}"
        elif (space := dimensions.get(name)) is not None and not _inside(space, value):
            yield name, f"{value!r} is outside the search space of {source.name}"


def _alike(default: object, value: Scalar) -> bool:
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


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "text" if isinstance(value, str) else "a number"
