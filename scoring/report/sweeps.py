"""Pictures of what a hyperparameter does over a range: curves by workload, and by size."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scoring.report.axes import Scale, short
from scoring.report.hyperparameters import value_axis
from scoring.report.markup import Markup, element, join
from scoring.report.names import clipped
from scoring.report.palette import Style, styles, swatch
from scoring.report.pictures import plot_card
from scoring.report.plots import END, FLOOR, LEFT, TOP, Styles, y_axis
from scoring.sensitivity import DIGITS, Sweep

_CROSS = "M-4,-4L4,4M-4,4L4,-4"


def sweep_svg(sweeps: Sequence[Sweep], name: str, *, log: bool) -> str:
    """The picture of `sweep_drawing`, standing alone, with a legend."""
    looks = styles(sweep.workload for sweep in sweeps)
    drawing, description = sweep_drawing(sweeps, name, log=log)
    legend = [line for sweep in sweeps for line in _legend(sweep, looks[sweep.workload])]
    legend.append(element("text", "dashed: before training", y=12, class_="soft"))
    legend.append(element("text", "worse than that, or diverged", y=8, class_="soft"))
    legend.append(element("text", "(✕): held there", y=4, class_="soft"))
    return plot_card(f"Final metric over {name}", description, drawing, legend, looks)


def sweep_drawing(sweeps: Sequence[Sweep], name: str, *, log: bool) -> tuple[Markup, str]:
    """The final metric against the hyperparameter `name`, a line a workload; and it in words.

    Marks are means over seeds, none counted worse than it began; their whiskers reach from the
    worst seed to the best; dashed is the initial value. A cross above tells that a seed diverged.
    """
    looks = styles(sweep.workload for sweep in sweeps)
    values = [value for sweep in sweeps for row in sweep.counted for value in row]
    values += [start for sweep in sweeps for start in sweep.initial]
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or abs(high) * 0.05 or 1.0
    place = math.log10 if log else float
    grid = sweeps[0].grid
    x = Scale(place(grid[0]), place(grid[-1]), LEFT + 14, END - 14)
    y = Scale(low - margin, high + margin, FLOOR, TOP + 8)
    drawing = join(
        y_axis(y, f"final {sweeps[0].metric}"),
        value_axis(x, name, log=log),
        *(_line(sweep, looks[sweep.workload], x, y, log=log) for sweep in sweeps),
        *(_crosses(sweeps, number, looks, x, log=log) for number in range(len(sweeps))),
    )
    description = "; ".join(
        f"{sweep.workload}: best {sweep.curve[sweep.best]:.4g} at "
        f"{sweep.grid[sweep.best]:.{DIGITS}g}, sensitivity {sweep.sensitivity:.3g}"
        for sweep in sweeps
    )
    return drawing, description


def sensitivity_svg(sweeps: Sequence[Sweep], name: str) -> str:
    """The picture of `sensitivity_drawing`, standing alone, with a legend."""
    looks = styles(sweep.workload for sweep in sweeps)
    drawing, description = sensitivity_drawing(sweeps, name)
    legend = [_name(sweep, looks[sweep.workload]) for sweep in sweeps]
    legend.append(element("text", "small: single seeds", y=12, class_="soft"))
    return plot_card(f"Sensitivity to {name} over size", description, drawing, legend, looks)


def sensitivity_drawing(sweeps: Sequence[Sweep], name: str) -> tuple[Markup, str]:
    """The sensitivity of each workload against its number of weights, logarithmic; and in words."""
    looks = styles(sweep.workload for sweep in sweeps)
    sizes = [sweep.size for sweep in sweeps]
    most = max(value for sweep in sweeps for value in sweep.sensitivities) or 1.0
    x = Scale(math.log10(min(sizes) / 1.5), math.log10(max(sizes) * 1.5), LEFT, END)
    y = Scale(0.0, most * 1.1, FLOOR, TOP + 8)
    drawing = join(
        y_axis(y, f"sensitivity to {name} ({sweeps[0].metric})"),
        value_axis(x, "weights", log=True),
        *(_seeds(sweep, looks[sweep.workload], x, y) for sweep in sweeps),
    )
    description = "; ".join(
        f"{s.workload}, {s.size:,} weights: {s.sensitivity:.3g}" for s in sweeps
    )
    return drawing, description


def _line(sweep: Sweep, look: Style, x: Scale, y: Scale, *, log: bool) -> Markup:
    across = [x(math.log10(value) if log else value) for value in sweep.grid]
    heights = [y(value) for value in sweep.curve]
    points = "L".join(f"{left},{up}" for left, up in zip(across, heights, strict=True))
    start = y(sum(sweep.initial) / len(sweep.initial))
    parts = [
        element("path", d=f"M{LEFT},{start}H{END}", class_="line", stroke_dasharray="2 4"),
        element("path", d=f"M{points}", class_="line", stroke_width=1.9),
    ]
    for place, column in enumerate(zip(*sweep.counted, strict=True)):
        left = across[place]
        ends = f"M{left},{y(min(column))}V{y(max(column))}"
        parts.append(element("path", d=ends, class_="whisker"))
        at = f"translate({left},{heights[place]})"
        parts.append(element("path", d=look.marker, class_="mark", transform=at))
    return element("g", *parts, class_=look.colour)


def _crosses(sweeps: Sequence[Sweep], number: int, looks: Styles, x: Scale, *, log: bool) -> Markup:
    """Above the plot, those of one workload beside those of the others."""
    sweep = sweeps[number]
    gap = min(9.0, (x.end - x.start) / (len(sweep.grid) - 1) / len(sweeps))
    aside = gap * (number - (len(sweeps) - 1) / 2)
    places = [place for place in range(len(sweep.grid)) if sweep.diverged(place)]
    across = [x(math.log10(sweep.grid[k]) if log else sweep.grid[k]) + aside for k in places]
    marks = [
        element(
            "path", d=_CROSS, class_="line", stroke_width=1.8, transform=f"translate({at},{TOP})"
        )
        for at in across
    ]
    return element("g", *marks, class_=looks[sweep.workload].colour)


def _seeds(sweep: Sweep, look: Style, x: Scale, y: Scale) -> Markup:
    left = x(math.log10(sweep.size))
    singles = [
        element("circle", cx=left, cy=y(value), r=2, class_="fill") for value in sweep.sensitivities
    ]
    at = f"translate({left},{y(sweep.sensitivity)}) scale(1.4)"
    mean = element("path", d=look.marker, class_="mark", transform=at)
    return element("g", mean, *singles, class_=look.colour)


def _legend(sweep: Sweep, look: Style) -> list[Markup]:
    label = f"sensitivity {short(sweep.sensitivity)}"
    return [_name(sweep, look), element("text", label, x=38, y=6, class_="soft")]


def _name(sweep: Sweep, look: Style) -> Markup:
    return join(
        swatch(look, ["torch"]),
        element("text", clipped(sweep.workload), x=38, y=12, class_="ink"),
    )
