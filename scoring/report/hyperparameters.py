"""What hyperparameters did in a race: every trial's time to the target over the value it tried."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from scoring.ground.words import Clock
from scoring.records import Record
from scoring.report.axes import MISSING, Scale, clock_unit, log_ticks, short, ticks
from scoring.report.markup import Markup, element, join
from scoring.report.plots import BOTTOM, END, HEIGHT, LEFT, TOP, Styles, picture
from scoring.times import time_to_result

SHOWN = 4
"""Of a workload's hyperparameters, those with the most values tried."""
DISTINCT = 3
"""Fewer values of one tell nothing."""
STYLE = """
.dots { fill: none; stroke: currentColor; stroke-width: 7; stroke-linecap: round; }
.dots.missed-trials { stroke-width: 5; stroke-opacity: .45; }
"""
_FLOOR, _MISSED_AT = HEIGHT - BOTTOM, TOP + 6
Trials: TypeAlias = Mapping[str, list[tuple[float, float]]]
"""By submission: value and time-to-result of each trial, infinite where it missed."""


def tried(records: Sequence[Record], clock: Clock) -> dict[str, Trials]:
    """By hyperparameter, of those that were varied most, the trials of one workload."""
    trials: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for record in records:
        head = record.header
        time = time_to_result(head, record.evaluations).on(clock)
        for name, value in head.hyperparameters.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                own = trials.setdefault(name, {}).setdefault(head.submission, [])
                own.append((float(value), time))
    varied = {
        name: {
            submission: points
            for submission, points in of.items()
            if len({value for value, _ in points if math.isfinite(value)}) >= DISTINCT
        }
        for name, of in trials.items()
    }
    order = sorted(varied, key=lambda name: (-sum(map(len, varied[name].values())), name))
    return {name: varied[name] for name in order if varied[name]}


def scatter_plot(
    plot: str, workload: str, name: str, trials: Trials, clock: Clock, looks: Styles
) -> Markup:
    """Time-to-result over a hyperparameter, a dot a trial; misses stand along the top."""
    values = [value for own in trials.values() for value, _ in own if math.isfinite(value)]
    times = [time for own in trials.values() for _, time in own if time < math.inf]
    log = min(values) > 0 and max(values) >= 8 * min(values)
    place = math.log10 if log else float
    low, high = place(min(values)), place(max(values))
    x = Scale(low, high, LEFT + 12, END - 12)
    longest = max(times, default=1.0)
    y = Scale(0.0, longest * 1.02, _FLOOR, TOP + 26)
    unit = clock_unit(clock, longest)
    heights = ticks(0.0, y.high / unit.size)
    axis = [
        element("path", d=f"M{LEFT},{y(mark * unit.size)}H{END}", class_="grid") for mark in heights
    ]
    axis += [
        element("text", short(mark, 4), x=LEFT - 8, y=y(mark * unit.size) + 4, class_="soft end")
        for mark in heights
    ]
    places = {
        (submission, met): [
            (x(math.log10(value) if log else value), y(time) if met else _MISSED_AT)
            for value, time in own
            if math.isfinite(value) and (time < math.inf) == met
        ]
        for submission, own in trials.items()
        for met in (True, False)
    }
    dots = [
        _dots(points, f"dots{'' if met else ' missed-trials'} {look.colour}", look.series)
        for (submission, met), points in places.items()
        for look in [looks[submission]]
    ]
    drawing = join(
        *axis,
        element("text", f"{unit.name} to the target", x=0, y=14, class_="soft"),
        element("text", "missed", x=LEFT - 8, y=_MISSED_AT + 4, class_="soft end"),
        value_axis(x, name, log=log),
        *dots,
    )
    missed = sum(time == math.inf for own in trials.values() for _, time in own)
    description = (
        f"A dot is a trial; {missed} of {missed + len(times)}, along the top, missed the target."
    )
    return picture(plot, f"{workload}: time to the target over {name}", description, drawing)


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
