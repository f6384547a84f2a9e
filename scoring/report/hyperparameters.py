"""Hyperparameters of a race: every trial's result against the value it tried.

The result is the time to the target, or at equal budget the best value of the metric.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from scoring.ground.words import Clock
from scoring.records import Record
from scoring.report.axes import (
    MISSING,
    Scale,
    clock_unit,
    log_ticks,
    robust_range,
    short,
    tick_texts,
    ticks,
)
from scoring.report.crowds import is_at_equal_budget, result_of
from scoring.report.markup import Markup, element, join
from scoring.report.names import ACROSS, PHONE, clipped, room
from scoring.report.plots import END, FLOOR, LEFT, TOP, Styles, picture

SHOWN = 4
"""Of a workload's hyperparameters, those with the most values tried."""
DISTINCT = 3
"""The fewest distinct numbers worth a plot; of words, two suffice."""
STYLE = """
.missed-trials { opacity: .45; }
"""
_MISSED_AT, _CEILING = TOP + 6, TOP + 26
"""Where the marks without a result stand, and the highest result."""
_LONGEST_WORD, _SHORTEST_WORD = 14, 5
"""Characters of a word beneath the axis, as many as there is room for."""
Value: TypeAlias = float | str
Trials: TypeAlias = Mapping[str, list[tuple[Value, float]]]
"""By submission: value and result of each trial, infinite where there is none."""


@dataclasses.dataclass(frozen=True)
class Tried:
    """One hyperparameter on one workload.

    Attributes:
        name: of the hyperparameter.
        trials: those of each submission that varied it.
        metric: whose best value is the result; None where the result is the time to the target.
    """

    name: str
    trials: Trials
    metric: str | None

    @property
    def words(self) -> list[str]:
        """Its values in order where they are words; empty where they are numbers."""
        values = {value for own in self.trials.values() for value, _ in own}
        return sorted(map(str, values)) if any(isinstance(one, str) for one in values) else []

    @property
    def result(self) -> str:
        """What is drawn."""
        return "time to the target" if self.metric is None else f"best {self.metric}"


def tried(records: Sequence[Record], clock: Clock) -> list[Tried]:
    """The hyperparameters of one workload's trials that were varied, the most varied first."""
    trials: dict[str, dict[str, list[tuple[Value, float]]]] = {}
    metric = None
    for record in records:
        head = record.header
        if head.target is not None and is_at_equal_budget(record):
            metric = head.target.metric
        result = result_of(record, clock)
        result = math.inf if math.isnan(result) else result
        for name, value in head.hyperparameters.items():
            if isinstance(value, str | bool | int | float):
                own = trials.setdefault(name, {}).setdefault(head.submission, [])
                is_word = isinstance(value, str | bool)
                own.append((str(value) if is_word else float(value), result))
    varied = [
        Tried(name, {one: points for one, points in of.items() if _is_varied(points)}, metric)
        for name, of in trials.items()
    ]
    kept = [one for one in varied if one.trials]
    return sorted(kept, key=lambda one: (-sum(map(len, one.trials.values())), one.name))


def _is_varied(points: Sequence[tuple[Value, float]]) -> bool:
    words = {value for value, _ in points if isinstance(value, str)}
    numbers = {value for value, _ in points if not isinstance(value, str) and math.isfinite(value)}
    return len(numbers) >= DISTINCT or len(words) + bool(numbers) >= 2


def scatter_plot(plot: str, workload: str, one: Tried, clock: Clock, looks: Styles) -> Markup:
    """The result against a hyperparameter, one mark per trial; those without one are at the top."""
    results = [result for own in one.trials.values() for _, result in own if result < math.inf]
    x, place, across = _across(one)
    y, up = _upwards(one, results, clock)
    missing = "missed" if one.metric is None else "none"
    places = {
        (submission, met): [
            (x(place(value)), min(FLOOR, max(_CEILING, y(result))) if met else _MISSED_AT)
            for value, result in own
            if (isinstance(value, str) or math.isfinite(value)) and (result < math.inf) == met
        ]
        for submission, own in one.trials.items()
        for met in (True, False)
    }
    dots = [
        element(
            "path",
            d="".join(f"M{across:g},{up:g}{look.marker}" for across, up in points),
            class_=f"mark dots{'' if met else ' missed-trials'} {look.colour}",
            data_s=look.series,
        )
        for (submission, met), points in places.items()
        for look in [looks[submission]]
        if points
    ]
    count = sum(map(len, one.trials.values()))
    top = element("text", missing, x=LEFT - 8, y=_MISSED_AT + 4, class_="soft end")
    beyond = sum(not y.low <= result <= y.high for result in results)
    far = element("text", f"beyond the axis: {beyond}", x=LEFT, y=FLOOR + 38, class_="soft")
    drawing = join(
        up, top if len(results) < count else None, across, *dots, far if beyond else None
    )
    lacking = "missed the target" if one.metric is None else "have no value"
    at_top = f"{count - len(results)} of {count}, along the top, {lacking}"
    description = f"One mark per trial; {at_top}."
    return picture(plot, f"{workload}: {one.result} against {one.name}", description, drawing)


def _across(one: Tried) -> tuple[Scale, Callable[[Value], float], Markup]:
    """The horizontal scale, where on it a value lies, and its axis."""
    words = one.words
    if words:
        x = Scale(-0.5, len(words) - 0.5, LEFT + 12, END - 12)
        return x, lambda value: float(words.index(str(value))), _word_axis(x, one.name, words)
    numbers = [
        float(value)
        for own in one.trials.values()
        for value, _ in own
        if math.isfinite(float(value))
    ]
    log = min(numbers) > 0 and max(numbers) >= 8 * min(numbers)
    place = math.log10 if log else float
    x = Scale(place(min(numbers)), place(max(numbers)), LEFT + 12, END - 12)
    return x, lambda value: place(float(value)), value_axis(x, one.name, log=log)


def _upwards(one: Tried, results: Sequence[float], clock: Clock) -> tuple[Scale, Markup]:
    """The vertical scale and its axis."""
    if one.metric is not None:
        low, high = robust_range(results, [])
        margin = 0.04 * (high - low) or 0.02 * abs(high) or 1.0
        y = Scale(low - margin, high + margin, FLOOR, _CEILING)
        return y, _result_axis(y, ticks(y.low, y.high), 1.0, one.result)
    longest = max(results, default=1.0)
    y = Scale(0.0, longest * 1.02, FLOOR, _CEILING)
    unit = clock_unit(clock, longest)
    label = f"{unit.name} to the target"
    return y, _result_axis(y, ticks(0.0, y.high / unit.size), unit.size, label)


def _result_axis(y: Scale, marks: Sequence[float], size: float, label: str) -> Markup:
    lines = [element("path", d=f"M{LEFT},{y(mark * size)}H{END}", class_="grid") for mark in marks]
    numbers = [
        element("text", text, x=LEFT - 8, y=y(mark * size) + 4, class_="soft end")
        for mark, text in zip(marks, tick_texts(marks, 4), strict=True)
    ]
    return join(*lines, *numbers, element("text", clipped(label, ACROSS), x=0, y=14, class_="soft"))


def _word_axis(x: Scale, name: str, words: Sequence[str]) -> Markup:
    """Every word, or of very many every second, third and so on."""
    letter = max(room([word], PHONE) / max(1, len(clipped(word))) for word in words)
    slot = (END - LEFT - 24) / (len(words) * letter)
    stride = math.ceil((_SHORTEST_WORD + 1) / slot)
    length = min(_LONGEST_WORD, int(slot * stride) - 1)
    texts = [
        element("text", clipped(word, length), x=x(place), y=FLOOR + 18, class_="soft middle")
        for place, word in list(enumerate(words))[::stride]
    ]
    return join(*texts, _base(name))


def value_axis(scale: Scale, name: str, *, log: bool) -> Markup:
    """Grid lines, numbers and label of a hyperparameter's horizontal axis."""
    marks = log_ticks(scale.low, scale.high) if log else ticks(scale.low, scale.high)
    texts = [short(10.0**mark) for mark in marks] if log else tick_texts(marks)
    parts = []
    for mark, text in zip(marks, texts, strict=True):
        left = scale(mark)
        parts.append(element("path", d=f"M{left},{TOP}V{FLOOR}", class_="grid"))
        parts.append(element("text", text, x=left, y=FLOOR + 18, class_="soft middle"))
    return join(*parts, _base(name))


def _base(name: str) -> Markup:
    """The line of a horizontal axis and its label."""
    label = clipped(name or MISSING, ACROSS)
    return join(
        element("path", d=f"M{LEFT},{FLOOR}H{END}", class_="axis"),
        element("text", label, x=END, y=FLOOR + 38, class_="soft end"),
    )
