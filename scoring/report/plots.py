"""Plots of a board as SVG: times by study, performance profiles, score intervals; their axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping

from scoring.board import Board, Cell, Row
from scoring.report.axes import Scale, Unit, clock_unit, tick_texts, ticks
from scoring.report.markup import Markup, element, join
from scoring.report.names import ACROSS, PHONE, clipped, room
from scoring.report.palette import Style

WIDTH, HEIGHT = 560, 330
LEFT, RIGHT, TOP, BOTTOM = 60, 14, 30, 48
ROW = 26
_BETWEEN = 6
"""Of two numbers beneath an axis, at least."""
_CROSS = "M-3.5,-3.5L3.5,3.5M-3.5,3.5L3.5,-3.5"
END, FLOOR = WIDTH - RIGHT, HEIGHT - BOTTOM

Styles = Mapping[str, Style]


MEDIAN_TOLD = "vertical line: median (none if half or more missed)"


def study_title(board: Board, workload: str) -> str:
    """What `study_plot` draws of each study."""
    if workload in board.on_several_machines:
        return "Time relative to each machine's own reference, by study"
    return "Time to result by study"


def study_plot(plot: str, board: Board, workload: str, looks: Styles) -> Markup:
    """Each study's time-to-result, a line for a submission, and the median over studies.

    In place of seconds of machines of several kinds, their ratios to each one's own reference.
    """
    rows = [row for row in board.rows if workload in row.cells]
    apart = workload in board.on_several_machines
    results = [_results(row.cells[workload], apart=apart) for row in rows]
    times = [time for studies, _ in results for time in studies]
    longest = max((time for time in times if math.isfinite(time)), default=1.0)
    bottom = TOP + ROW * len(rows) + 8
    missed = any(not math.isfinite(time) for time in times)
    start = _beside([row.submission for row in rows])
    x = Scale(0.0, longest * 1.05, start, END - (84 if missed else 0))
    lines = [
        _study_row(row, results[place], TOP + ROW * place + ROW / 2, x, looks)
        for place, row in enumerate(rows)
    ]
    ratio = Unit("time relative to the machine's own reference")
    head = element("text", "missed", x=END - 22, y=bottom + 18, class_="soft middle")
    drawing = join(
        x_axis(x, ratio if apart else clock_unit(board.clock, longest), bottom, END),
        head if missed else None,
        *lines,
    )
    description = f"Each mark is the fastest trial of a study; {MEDIAN_TOLD}."
    title = f"{workload}: {study_title(board, workload).lower()}"
    return picture(plot, title, description, drawing, height=bottom + BOTTOM - 8)


def _results(cell: Cell, *, apart: bool) -> tuple[tuple[float, ...], float]:
    """What each study came to, and the median."""
    if apart:
        return cell.study_ratios or (math.inf,) * len(cell.study_times), cell.ratio
    return cell.study_times, cell.time


def profile_lines(board: Board, looks: Styles, x: Scale, y: Scale) -> Markup:
    """The performance profiles, set apart by a hair so that equal ones do not hide each other.

    Each line bears its marker at a place of its own along the axis, for the same reason.
    """
    count = len(board.rows)
    gap = min(3.0, 26 / max(1, count))
    lines = []
    for place, row in enumerate(board.rows):
        corners = board.profile(row)
        points = "L".join(f"{x(tau)},{y(rho)}" for tau, rho in corners)
        look = looks[row.submission]
        tau = x.low + (x.high - x.low) * (place + 1) / (count + 1)
        rho = next(rho for start, rho in reversed(corners) if start <= tau)
        shape = {"class_": "mark", "transform": f"translate({x(tau)},{y(rho)})"}
        lines.append(
            element(
                "g",
                element("path", d=f"M{points}", class_=f"line {row.framework}", stroke_width=1.9),
                element("path", d=look.marker, **shape),
                class_=look.colour,
                data_s=look.series,
                data_i=place,
                transform=f"translate(0,{(place - (count - 1) / 2) * gap:.1f})",
            )
        )
    return join(*lines)


def ratio_plot(plot: str, board: Board, looks: Styles) -> Markup:
    """Each submission's time over the yardstick's, a row for a workload; what is over is apart."""
    bottom = TOP + 2 * ROW * len(board.workloads) + 4
    x = Scale(0.0, board.tau_max, _beside(board.workloads), END - 56)
    one = element("path", d=f"M{x(1.0)},{TOP - 8}V{bottom}", class_="target")
    rows = [
        _ratio_row(name, TOP + ROW * (2 * place + 1), board, looks, x)
        for place, name in enumerate(board.workloads)
    ]
    over = element("text", f"> {board.tau_max:g}", x=END - 22, y=bottom + 18, class_="soft middle")
    unit = Unit("time-to-result relative to the yardstick")
    drawing = join(x_axis(x, unit, bottom, END), one, over, *rows)
    description = (
        "For each workload, the median time-to-result of each submission relative to the "
        f"yardstick; ratios above {board.tau_max:g} and missed targets are at the right."
    )
    height = bottom + BOTTOM - 4
    return picture(plot, "Ratio to the yardstick by workload", description, drawing, height=height)


def _ratio_row(workload: str, y: float, board: Board, looks: Styles, x: Scale) -> Markup:
    count = len(board.rows)
    gap = min(6.0, 1.5 * ROW / count)
    marks = []
    for place, row in enumerate(board.rows):
        ratio = row.cells[workload].ratio
        across = x(ratio) if ratio <= board.tau_max else END - 22
        up = y + (place - (count - 1) / 2) * gap
        look = looks[row.submission]
        marks.append(
            element(
                "path",
                d=look.marker,
                class_=f"mark {look.colour}",
                transform=f"translate({across},{up:.1f})",
                data_s=look.series,
            )
        )
    line = element("path", d=f"M{x.start},{y + ROW}H{END}", class_="grid")
    name = element("text", clipped(workload), x=x.start - 10, y=y + 4, class_="ink end")
    return join(line, name, *marks)


def profile_data(board: Board) -> dict[str, object]:
    """What a script needs to read the profile plot: the axis, and each line's name and corners."""
    return {
        "x": [1.0, board.tau_max, LEFT, END - 8],
        "lines": [
            {"label": f"{row.submission} ({row.framework})", "corners": board.profile(row)}
            for row in board.rows
        ],
    }


def profile_plot(plot: str, board: Board, looks: Styles) -> Markup:
    """The share of workloads solved within tau times the yardstick, tau from 1 to its maximum."""
    description = (
        "For each submission, the share of workloads solved within τ times the yardstick's time"
    )
    return picture(
        plot, "Performance profiles", description, profile_drawing(board, looks), kind="profile"
    )


def profile_drawing(board: Board, looks: Styles) -> Markup:
    """The profile plot without its frame: axes and lines."""
    x = Scale(1.0, board.tau_max, LEFT, END - 8)
    y = Scale(0.0, 1.0, FLOOR - 8, TOP + 8)
    return join(
        y_axis(y, "share of workloads", percent=True),
        x_axis(x, Unit("times the yardstick's time-to-result, τ")),
        profile_lines(board, looks, x, y),
    )


def picture(
    plot: str,
    title: str,
    description: str,
    drawing: Markup,
    *,
    height: float = HEIGHT,
    kind: str = "plain",
) -> Markup:
    """An `<svg>` as wide as its place, with a title and a description for screen readers."""
    return element(
        "svg",
        element("title", title, id=f"{plot}-title"),
        element("desc", description, id=f"{plot}-told"),
        drawing,
        id=plot,
        class_="plot",
        viewBox=f"0 0 {WIDTH} {height:g}",
        role="img",
        aria_labelledby=f"{plot}-title {plot}-told",
        data_kind=kind,
        xmlns="http://www.w3.org/2000/svg",
    )


def score_bar(row: Row, x: Scale, y: float) -> Markup:
    """A bar up to the score with the interval as a whisker, centred at height `y`."""
    parts = [
        element(
            "rect",
            class_="bar",
            x=x(0.0),
            y=y - 5,
            width=max(0.0, x(row.score) - x(0.0)),
            height=10,
        ),
    ]
    if row.interval is not None:
        low, high = (x(end) for end in row.interval)
        path = f"M{low},{y}H{high}M{low},{y - 4}v8M{high},{y - 4}v8"
        parts.append(element("path", d=path, class_="whisker"))
    parts.append(element("circle", cx=x(row.score), cy=y, r=2.8, class_="fill"))
    return join(*parts)


def score_range(board: Board) -> float:
    """The right end of the scores' axis: the best score or interval, and at least 1."""
    ends = [row.interval[1] if row.interval else row.score for row in board.rows]
    return max([1.0, *(end for end in ends if math.isfinite(end))]) * 1.04


def x_axis(scale: Scale, unit: Unit, bottom: float = FLOOR, end: float = END) -> Markup:
    """Grid lines, numbers and label of a horizontal axis at height `bottom`."""
    marks = _apart(scale, unit)
    parts = [
        element("path", d=f"M{scale(mark * unit.size)},{TOP}V{bottom}", class_="grid")
        for mark in marks
    ]
    parts += [
        element("text", text, x=scale(mark * unit.size), y=bottom + 18, class_="soft middle")
        for mark, text in zip(marks, tick_texts(marks), strict=True)
    ]
    base = element("path", d=f"M{scale.start},{bottom}H{end}", class_="axis")
    label = element("text", unit.name, x=scale.end, y=bottom + 38, class_="soft end")
    return join(*parts, base, label)


def _apart(scale: Scale, unit: Unit) -> list[float]:
    """As many of five round numbers as stand beside each other without touching."""
    marks: list[float] = []
    for count in (5, 3, 2):
        marks = ticks(scale.low / unit.size, scale.high / unit.size, count)
        places = [scale(mark * unit.size) for mark in marks]
        gap = min((after - before for before, after in itertools.pairwise(places)), default=END)
        if gap >= room(tick_texts(marks), PHONE) + _BETWEEN:
            break
    return marks


def y_axis(scale: Scale, label: str, *, percent: bool = False) -> Markup:
    """Grid lines and numbers of the vertical axis; its label stands above it."""
    marks = ticks(scale.low, scale.high)
    texts = [f"{mark * 100:.0f} %" for mark in marks] if percent else tick_texts(marks, 4)
    parts = [element("path", d=f"M{LEFT},{scale(mark)}H{END}", class_="grid") for mark in marks] + [
        element("text", text, x=LEFT - 8, y=scale(mark) + 4, class_="soft end")
        for mark, text in zip(marks, texts, strict=True)
    ]
    return join(*parts, element("text", clipped(label, ACROSS), x=0, y=14, class_="soft"))


def _study_row(
    row: Row, results: tuple[tuple[float, ...], float], y: float, x: Scale, looks: Styles
) -> Markup:
    look, (times, middle) = looks[row.submission], results
    marks = [
        element(
            "path",
            d=look.marker if math.isfinite(time) else _CROSS,
            class_="mark" if math.isfinite(time) else "line",
            transform=f"translate({x(time) if math.isfinite(time) else END - 22},{y})",
        )
        for time in times
    ]
    median = (
        element("path", d=f"M{x(middle)},{y - 9}v18", class_="whisker")
        if math.isfinite(middle)
        else None
    )
    return element(
        "g",
        element("path", d=f"M{x.start},{y}H{END}", class_="grid"),
        median,
        *marks,
        element("text", clipped(row.submission), x=x.start - 10, y=y + 4, class_="ink end"),
        class_=look.colour,
        data_s=look.series,
    )


def _beside(names: Iterable[str]) -> float:
    """Where a plot begins that has a name before each row."""
    return max(LEFT, room(names, PHONE) + 14)
