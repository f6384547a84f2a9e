"""What hyperparameters did in a race: every trial's result over the value it tried.

The result is the time to the target, or at equal budget the best value of the metric.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from scoring.ground.words import Clock
from scoring.records import Record
from scoring.report.axes import MISSING, Scale, clock_unit, log_ticks, robust_range, short, ticks
from scoring.report.markup import Markup, element, join
from scoring.report.names import clipped
from scoring.report.plots import BOTTOM, END, HEIGHT, LEFT, TOP, Styles, picture
from scoring.times import best_metric, time_to_result

SHOWN = 4
"""Of a workload's hyperparameters, those with the most values tried."""
DISTINCT = 3
"""Fewer values of one tell nothing; of words two do."""
STYLE = """
.dots { fill: none; stroke: currentColor; stroke-width: 7; stroke-linecap: round; }
.dots.missed-trials { stroke-width: 5; stroke-opacity: .45; }
"""
_FLOOR, _MISSED_AT = HEIGHT - BOTTOM, TOP + 6
_LONGEST_WORD = 14
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
        if head.target is not None and head.target.value is None:
            metric = head.target.metric
        result = _result(record, clock)
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


def _result(record: Record, clock: Clock) -> float:
    target = record.header.target
    if target is not None and target.value is None:
        best = best_metric(record.evaluations, target)
        return best if math.isfinite(best) else math.inf
    return time_to_result(record.header, record.evaluations).on(clock)


def _is_varied(points: Sequence[tuple[Value, float]]) -> bool:
    words = {value for value, _ in points if isinstance(value, str)}
    numbers = {value for value, _ in points if not isinstance(value, str) and math.isfinite(value)}
    return len(numbers) >= DISTINCT or len(words) + bool(numbers) >= 2


def scatter_plot(plot: str, workload: str, one: Tried, clock: Clock, looks: Styles) -> Markup:
    """The result over a hyperparameter, a dot a trial; trials without one stand along the top."""
    results = [result for own in one.trials.values() for _, result in own if result < math.inf]
    x, place, across = _across(one)
    y, up = _upwards(one, results, clock)
    missing = "missed" if one.metric is None else "none"
    places = {
        (submission, met): [
            (x(place(value)), min(_FLOOR, max(TOP + 16, y(result))) if met else _MISSED_AT)
            for value, result in own
            if (isinstance(value, str) or math.isfinite(value)) and (result < math.inf) == met
        ]
        for submission, own in one.trials.items()
        for met in (True, False)
    }
    dots = [
        _dots(points, f"dots{'' if met else ' missed-trials'} {look.colour}", look.series)
        for (submission, met), points in places.items()
        for look in [looks[submission]]
    ]
    count = sum(map(len, one.trials.values()))
    top = element("text", missing, x=LEFT - 8, y=_MISSED_AT + 4, class_="soft end")
    drawing = join(up, top if len(results) < count else None, across, *dots)
    lacking = "missed the target" if one.metric is None else "came to no value"
    description = f"A dot is a trial; {count - len(results)} of {count}, along the top, {lacking}."
    return picture(plot, f"{workload}: {one.result} over {one.name}", description, drawing)


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
        y = Scale(low - margin, high + margin, _FLOOR, TOP + 26)
        return y, _result_axis(y, ticks(y.low, y.high), 1.0, one.result)
    longest = max(results, default=1.0)
    y = Scale(0.0, longest * 1.02, _FLOOR, TOP + 26)
    unit = clock_unit(clock, longest)
    label = f"{unit.name} to the target"
    return y, _result_axis(y, ticks(0.0, y.high / unit.size), unit.size, label)


def _result_axis(y: Scale, marks: Sequence[float], size: float, label: str) -> Markup:
    lines = [element("path", d=f"M{LEFT},{y(mark * size)}H{END}", class_="grid") for mark in marks]
    numbers = [
        element("text", short(mark, 4), x=LEFT - 8, y=y(mark * size) + 4, class_="soft end")
        for mark in marks
    ]
    return join(*lines, *numbers, element("text", label, x=0, y=14, class_="soft"))


def _word_axis(x: Scale, name: str, words: Sequence[str]) -> Markup:
    texts = [
        element(
            "text", clipped(word, _LONGEST_WORD), x=x(place), y=_FLOOR + 18, class_="soft middle"
        )
        for place, word in enumerate(words)
    ]
    base = element("path", d=f"M{LEFT},{_FLOOR}H{END}", class_="axis")
    return join(*texts, base, element("text", name, x=END, y=_FLOOR + 38, class_="soft end"))


def _dots(places: Sequence[tuple[float, float]], class_: str, series: int) -> Markup | None:
    """One path of many dots, each a line of no length with round ends."""
    if not places:
        return None
    path = "".join(f"M{across:g},{up:g}h0" for across, up in places)
    return element("path", d=path, class_=class_, data_s=series)


def value_axis(scale: Scale, name: str, *, log: bool) -> Markup:
    """Grid lines, numbers and label of a hyperparameter's horizontal axis."""
    marks = log_ticks(scale.low, scale.high) if log else ticks(scale.low, scale.high)
    parts = []
    for mark in marks:
        left = scale(mark)
        text = short(10.0**mark if log else mark)
        parts.append(element("path", d=f"M{left},{TOP}V{_FLOOR}", class_="grid"))
        parts.append(element("text", text, x=left, y=_FLOOR + 18, class_="soft middle"))
    base = element("path", d=f"M{LEFT},{_FLOOR}H{END}", class_="axis")
    label = element("text", name or MISSING, x=END, y=_FLOOR + 38, class_="soft end")
    return join(*parts, base, label)
