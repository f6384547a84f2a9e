"""The values over which a hyperparameter is swept."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal, cast, get_args

from scoring.ground.documents import ConfigError
from scoring.ground.errors import nearest
from scoring.sensitivity import DIGITS
from submissions.source import Source

Scaling = Literal["linear", "log"]
FORM = "NAME=LOW:HIGH:log (or :linear), as in lr=1e-4:1:log"


@dataclasses.dataclass(frozen=True)
class Grid:
    """A hyperparameter and its range, both ends included."""

    parameter: str
    low: float
    high: float
    scaling: Scaling

    def values(self, count: int) -> list[float]:
        """`count` values, equally far apart in the value or in its logarithm.

        They have four digits, or as many as tell them apart.

        Raises:
            ConfigError: no number of digits does.
        """
        shares = [place / (count - 1) for place in range(count)]
        if self.scaling == "log":
            exact = [self.low * (self.high / self.low) ** share for share in shares]
        else:
            exact = [self.low + (self.high - self.low) * share for share in shares]
        for digits in range(4, DIGITS + 1):
            rounded = [float(f"{value:.{digits}g}") for value in exact]
            if len(set(rounded)) == count:
                return rounded
        raise ConfigError(
            f"--parameter {self.parameter}={self.low}:{self.high}:{self.scaling}: too narrow for "
            f"{count} distinct values; widen the range, or use fewer --points"
        )


def parse_grid(text: str, source: Source) -> Grid:
    """The range that was typed, of a hyperparameter of the submission.

    Raises:
        ConfigError: another form, or a hyperparameter that is not there or is no number.
    """
    name, equals, rest = text.partition("=")
    parts = rest.split(":")
    if not equals or len(parts) not in (2, 3):
        raise ConfigError(f"--parameter {text}: expected {FORM}")
    if name not in source.hyperparameters:
        hint = nearest(name, source.hyperparameters)
        raise ConfigError(f"--parameter {text}: {source.name} has no hyperparameter {name!r}{hint}")
    default = source.defaults.get(name)
    if isinstance(default, bool) or not isinstance(default, int | float | None):
        raise ConfigError(
            f"--parameter {text}: {name} of {source.name} is not a number (default {default!r})"
        )
    scaling = parts[2] if len(parts) == 3 else "log"
    if scaling not in get_args(Scaling):
        hint = nearest(scaling, get_args(Scaling))
        raise ConfigError(f"--parameter {text}: expected log or linear, found {scaling!r}{hint}")
    low, high = _numbers(parts[:2], text)
    if not low < high:
        raise ConfigError(f"--parameter {text}: the first end must be below the second")
    if scaling == "log" and low <= 0:
        raise ConfigError(
            f"--parameter {text}: a log scale needs a lower end above 0; raise it, or use :linear"
        )
    return Grid(name, low, high, cast(Scaling, scaling))


def _numbers(parts: Sequence[str], text: str) -> list[float]:
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        raise ConfigError(f"--parameter {text}: expected {FORM}")
    return values
