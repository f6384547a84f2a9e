"""What time can be counted on: one table of clocks, with how each is read and named.

To add a clock: its name in `words.Clock`, its reading in the records' evaluations and outcomes,
and its row here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Protocol

from scoring.ground.words import Clock


class Moment(Protocol):
    """Whatever carries the clocks' readings: an evaluation, an outcome."""

    @property
    def steps(self) -> int:
        """Steps taken."""

    @property
    def wall_s(self) -> float:
        """Seconds passed."""

    @property
    def cpu_s(self) -> float:
        """CPU seconds spent."""

    @property
    def paired(self) -> float | None:
        """Paired time in reference steps; None where the trial was not paired."""


@dataclasses.dataclass(frozen=True)
class ClockWords:
    """One clock.

    Attributes:
        name: the word of suites and records.
        read: its reading at a moment.
        unit: what one unit is called after a number.
        title: what a board counts in.
        label: what the clock is called.
        axis: the name of an axis of it.
        point: a reading in a tooltip, `{}` for the number.
        of_hardware: whether the machine moves its readings.
    """

    name: Clock
    read: Callable[[Moment], float]
    unit: str
    title: str
    label: str
    axis: str
    point: str
    of_hardware: bool = True

    @property
    def in_seconds(self) -> bool:
        """Whether its readings are seconds."""
        return self.unit == "s"


_ROWS = (
    ClockWords("wall", lambda moment: moment.wall_s, "s", "wall-clock seconds", "wall clock",
               "wall time", "{} s wall"),
    ClockWords("cpu", lambda moment: moment.cpu_s, "s", "CPU seconds", "CPU time",
               "CPU time", "{} s CPU"),
    ClockWords("steps", lambda moment: float(moment.steps), "steps", "steps", "steps",
               "steps", "step {}", of_hardware=False),
    ClockWords("paired", lambda moment: math.inf if moment.paired is None else moment.paired,
               "reference steps", "reference steps", "paired time",
               "paired time (reference steps)",
               "{} reference steps", of_hardware=False),
)  # fmt: skip
CLOCKS: dict[Clock, ClockWords] = {row.name: row for row in _ROWS}
"""Every clock by its name, in the order in which choices are offered."""
