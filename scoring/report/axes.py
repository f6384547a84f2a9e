"""Scales, ticks and number formats of the plots."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np

from scoring.ground.clocks import CLOCKS
from scoring.ground.words import Clock

MINUTE, HOUR = 60.0, 3600.0
MISSING = "–"
_FARTHEST = 1e300
"""Beyond it an axis would be longer than any number."""


@dataclasses.dataclass(frozen=True)
class Scale:
    """A linear map from data, `low` to `high`, to drawing units, `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of `value`; what lies far off the axis is kept within four of its lengths.

        Browsers draw coordinates such as 1e30, a diverged loss, wrongly.
        """
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(self.start + min(5.0, max(-4.0, share)) * (self.end - self.start), 1)

    def places(self, values: Sequence[float]) -> np.ndarray:
        """The places of many values, NaN for one that is not finite."""
        numbers = np.asarray(values, dtype=float)
        with np.errstate(over="ignore"):
            share = ((numbers - self.low) / ((self.high - self.low) or 1.0)).clip(-4.0, 5.0)
        placed = np.round(self.start + share * (self.end - self.start), 1)
        return np.where(np.isfinite(numbers), placed, np.nan)


@dataclasses.dataclass(frozen=True)
class Unit:
    """The unit in which an axis is labelled: its name and how many of the data's units it is."""

    name: str
    size: float = 1.0


def clock_unit(clock: Clock, longest: float) -> Unit:
    """The clock's own unit, or the largest of seconds, minutes and hours of which 4 are passed."""
    word = CLOCKS[clock].axis
    if not CLOCKS[clock].in_seconds:
        return Unit(word)
    if longest > 4 * HOUR:
        return Unit(f"{word} (h)", HOUR)
    if longest > 10 * MINUTE:
        return Unit(f"{word} (min)", MINUTE)
    return Unit(f"{word} (s)")


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers (1, 2 or 5 times a power of ten) within [low, high]."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= rough * 0.7)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [0.0 + float(f"{k * step:.12g}") for k in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Decimal logarithms of round numbers whose logarithm lies within [low, high].

    Powers of ten, every second or third where there are many; over less than two decades also
    twice and five times those.
    """
    first, last = math.floor(low + 1e-9), math.ceil(high - 1e-9)
    stride = max(1, math.ceil((last - first) / 8))
    steps = (1,) if high - low >= 2 else (1, 2, 5)
    marks = [power + math.log10(step) for power in range(first, last + 1, stride) for step in steps]
    return [mark for mark in marks if low - 1e-9 <= mark <= high + 1e-9]


def short(value: float, digits: int = 3) -> str:
    """A number to `digits` significant digits, without needless zeros or exponents."""
    if not math.isfinite(value):
        return MISSING
    if value != 0 and not 1e-4 <= abs(value) < 1e7:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{float(mantissa):.{digits}g}e{int(exponent)}"
    text = f"{value:,.{max(0, digits - 1 - _exponent(value))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def tick_texts(marks: Sequence[float], digits: int = 3) -> list[str]:
    """The numbers beside an axis: to so many significant digits, or as many as tell them apart."""
    step = min((after - before for before, after in itertools.pairwise(marks)), default=0.0)
    if step > 0:
        largest = max(map(abs, marks))
        digits = max(digits, _exponent(largest) - _exponent(step) + 2)
    return [short(mark, digits) for mark in marks]


def bounded(values: Iterable[float]) -> np.ndarray:
    """The finite ones of some values in order, those that no axis can hold at its farthest."""
    every = np.fromiter(values, dtype=float)
    return np.sort(every[np.isfinite(every)]).clip(-_FARTHEST, _FARTHEST)


def robust_range(values: Iterable[float], keep: Iterable[float]) -> tuple[float, float]:
    """A range that holds `keep` and all of `values` but the extreme 4 % at either end.

    A diverged trial, or the first evaluations of every trial, would otherwise squeeze what matters
    into a line.
    """
    finite = bounded(values)
    cut = len(finite) // 25
    core = [*finite[cut : len(finite) - cut].tolist(), *bounded(keep).tolist()]
    if not core:
        return 0.0, 1.0
    low, high = min(core), max(core)
    margin = 0.05 * (high - low) or abs(high) * 0.05 or 1.0
    return low - margin, high + margin


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value else 0
