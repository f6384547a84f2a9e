"""The metric that trials are judged by."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

Goal = Literal["min", "max"]


@dataclasses.dataclass(frozen=True)
class Metric:
    """The validation metric that a trial is judged by.

    With `window` above 1 the judged value is the mean over that many consecutive evaluations,
    and there is none before so many have been made; it is recorded beside the raw one as `key`.
    """

    name: str
    goal: Goal
    window: int = 1

    @property
    def key(self) -> str:
        """The name under which the judged value stands in a record."""
        return self.name if self.window == 1 else f"{self.name}_mean{self.window}"

    def reached(self, value: float, target: float) -> bool:
        """Whether `value` meets `target`; NaN never does."""
        return value <= target if self.goal == "min" else value >= target

    def best(self, values: list[float]) -> float:
        """The best of `values`, ignoring NaN; the worst possible value when there is none."""
        finite = [value for value in values if not math.isnan(value)]
        if self.goal == "min":
            return min(finite, default=math.inf)
        return max(finite, default=-math.inf)
