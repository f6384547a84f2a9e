"""What numbered parts of a workload did over time: the accuracy by task of a lifelong learner.

A family names such metrics `task00/accuracy`, `task01/accuracy` and so on. One picture for all of
them: a strip for each submission, in it a row for each part, the darker the higher the value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from scoring.columns import readings, values
from scoring.ground.words import Clock
from scoring.records import Record
from scoring.report.axes import Scale, clock_unit, short
from scoring.report.markup import Markup, element, join
from scoring.report.names import clipped
from scoring.report.plots import BOTTOM, END, LEFT, TOP, Styles, picture, x_axis

FEWEST = 3
"""Parts; of fewer each has a plot of its own."""
STRIPS = 6
"""So many submissions have a strip at most."""
_PART = re.compile(r"([a-z_]+?)(\d+)/([a-z_]+)", re.ASCII)
_SHADES, _COLUMNS = 10, 120
_ROW, _HEAD, _GAP = 9, 18, 8
Parts = Mapping[str, Sequence[str]]
"""By what they are, as `accuracy by task`, the metrics in the order of their numbers."""


def parts_of(metrics: Sequence[str]) -> Parts:
    """The families of numbered metrics among some."""
    numbered: dict[str, list[tuple[int, str]]] = {}
    for name in metrics:
        if match := _PART.fullmatch(name):
            numbered.setdefault(f"{match[3]} by {match[1]}", []).append((int(match[2]), name))
    return {
        word: [name for _, name in sorted(found)]
        for word, found in sorted(numbered.items())
        if len(found) >= FEWEST
    }


def parts_plot(
    plot: str, word: str, metrics: Sequence[str], records: Sequence[Record], clock: Clock,
    looks: Styles,
) -> Markup:  # fmt: skip
    """A strip for each of some trials, at most one of a submission; the rows are the parts."""
    shown = records[:STRIPS]
    times = [readings(record.evaluations, clock) for record in shown]
    series = [np.array([values(record.evaluations, name) for name in metrics]) for record in shown]
    finite = [every[np.isfinite(every)] for every in series]
    low = min((float(every.min()) for every in finite if every.size), default=0.0)
    high = max((float(every.max()) for every in finite if every.size), default=1.0)
    longest = max((float(every[-1]) for every in times if every.size), default=1.0)
    x = Scale(0.0, longest or 1.0, LEFT, END)
    pitch = len(metrics) * _ROW + _HEAD + _GAP
    strips = [
        _strip(record, _shades(every, low, high), across, x, TOP + place * pitch, looks)
        for place, (record, every, across) in enumerate(zip(shown, series, times, strict=True))
    ]
    bottom = TOP + len(shown) * pitch
    drawing = join(x_axis(x, clock_unit(clock, longest), bottom, END), *strips)
    description = (
        "One strip per submission, one row per part, the first on top; darker is higher, from "
        f"{short(low)} to {short(high)}."
    )
    return picture(plot, word, description, drawing, height=bottom + BOTTOM - 8)


def _shades(series: np.ndarray, low: float, high: float) -> np.ndarray:
    """From 0, the palest, to the number of shades."""
    with np.errstate(invalid="ignore"):
        shares = np.nan_to_num((series - low) / ((high - low) or 1.0), nan=0.0)
    return np.ceil(shares.clip(0.0, 1.0) * _SHADES).astype(int)


def _strip(
    record: Record, shades: np.ndarray, times: np.ndarray, x: Scale, top: float, looks: Styles
) -> Markup:
    head = record.header
    look = looks[head.submission]
    places = _few(len(times))
    edges = [x.start, *(x(float(times[place])) for place in places)]
    rows = [
        _row(row[places].tolist(), edges, top + _HEAD + number * _ROW)
        for number, row in enumerate(shades)
    ]
    name = f"{clipped(head.submission)} ({head.framework}), study {head.study}"
    height = len(shades) * _ROW
    first, last = (
        element("text", text, x=LEFT - 8, y=top + _HEAD + at, class_="soft end")
        for text, at in (("1", 8), (str(len(shades)), height - 1))
    )
    frame = element(
        "path", d=f"M{LEFT},{top + _HEAD + height}H{x(float(times[-1])) if times.size else LEFT}",
        class_="axis",
    )  # fmt: skip
    return element(
        "g",
        element("text", name, x=LEFT, y=top + 13, class_="ink"),
        first,
        last,
        element("g", *rows, class_=look.colour),
        frame,
        data_s=look.series,
    )


def _few(count: int) -> list[int]:
    """Of so many evaluations, those that have a column: the last of each group of equals."""
    group = max(1, math.ceil(count / _COLUMNS))
    return [min(start + group, count) - 1 for start in range(0, count, group)]


def _row(shades: Sequence[int], edges: Sequence[float], top: float) -> Markup:
    """A rectangle for each stretch of equal shade; none where it is the palest."""
    drawn, begin = [], 0
    for place, shade in enumerate(shades):
        if place + 1 < len(shades) and shades[place + 1] == shade:
            continue
        if shade:
            left, right = edges[begin], edges[place + 1]
            drawn.append(
                element(
                    "rect",
                    x=left,
                    y=top,
                    width=round(right - left, 1),
                    height=_ROW - 1,
                    class_="fill",
                    fill_opacity=shade / _SHADES,
                )
            )
        begin = place + 1
    return join(*drawn)
