"""A board, its profiles and curves as SVG files that stand alone, for a README or a paper.

Each lies on a card of its own colour, light or dark as its reader prefers, so that it can be read
on any background.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from scoring.board import Board, Cell, Row
from scoring.equal_budget import Standing
from scoring.records import Record, RecordError
from scoring.report.axes import Scale
from scoring.report.curves import STYLE, curve_drawing, marks_told
from scoring.report.markup import Markup, element, join
from scoring.report.names import clipped, room
from scoring.report.palette import DARK, LIGHT, sheet, styles, swatch
from scoring.report.plots import (
    HEIGHT,
    WIDTH,
    Styles,
    profile_drawing,
    score_bar,
    score_range,
)
from scoring.report.tables import known_time, rank_text, time_text

_LINE, _COLUMN = 30, 96
"""The height of a line, and the least width of a column of times."""
_PAD = 18
_NAME, _BAR = 84, 180
"""Where the names begin on a board, and the length of the scores' axis."""
_BOLD = 1.1
"""How much wider bold text is."""
_TIMES = 4
"""Up to so many workloads, the picture of a board has a column of times for each."""


def board_svg(board: Board) -> str:
    """A picture of the leaderboard: ranks, scores with intervals, times of up to 4 workloads."""
    looks = _looks(board)
    shown = board.workloads if len(board.workloads) <= _TIMES else ()
    start = round(_NAME + _BOLD * room(row.submission for row in board.rows) + 60)
    scale = Scale(0.0, score_range(board), start, start + _BAR)
    edges, edge = {}, start + _BAR + 62
    for name in shown:
        times = (_time_text(row.cells[name], board) for row in board.rows if name in row.cells)
        edges[name] = edge = edge + max(_COLUMN, room([name, *times]) + 18)
    width = edge + 24
    height = 2 * _PAD + _LINE * (len(board.rows) + 1)
    one = element("path", d=f"M{scale(1)},{_PAD + _LINE}V{height - _PAD}", class_="target")
    head = [
        element("text", "submission", x=_NAME, y=_PAD + 16, class_="soft"),
        element("text", f"{board.protocol} score", x=start, y=_PAD + 16, class_="soft"),
        *(
            element("text", clipped(name), x=edge, y=_PAD + 16, class_="soft end")
            for name, edge in edges.items()
        ),
    ]
    rows = [
        _board_row(row, board, _PAD + _LINE * (place + 1), looks, scale, edges)
        for place, row in enumerate(board.rows)
    ]
    description = "; ".join(
        f"{rank_text(row)} {row.submission} {row.score:.3f}" for row in board.rows
    )
    drawing = join(*head, one, *rows)
    return card("Leaderboard", description, drawing, width, height)


def static_profile_svg(board: Board) -> str:
    """The performance profiles with a legend at their right, best score first."""
    looks = _looks(board)
    description = "Share of workloads each submission solved within τ times the yardstick's time."
    legend = _legend(board.rows, looks)
    names = [row.submission for row in board.rows]
    return plot_card(
        "Performance profiles", description, profile_drawing(board, looks), legend, names
    )


def curves_svg(board: Board, records: Sequence[Record], workload: str) -> str:
    """The judged metric of every trial of one workload against the board's clock, and its target.

    Args:
        board: names the clock; its rows, best score first, are the legend, or at equal budget the
            workload's standings.
        records: the trials that the board was computed from, of all workloads.
        workload: its id.

    Raises:
        RecordError: none of the records is of that workload and has a target, or some were not
            timed on the board's clock.
    """
    own = [one for one in records if one.header.workload == workload and one.header.target]
    if not own:
        raise RecordError(f"{workload}: no trial of it has a target")
    looks = styles(one.header.submission for one in records)
    drawing, description = curve_drawing("curves", own, board.clock, looks)
    racing = {one.header.submission for one in own}
    beside = {race.workload: race.standings for race in board.at_equal_budget}
    rows: Sequence[Row | Standing] = beside.get(workload) or [
        row for row in board.rows if row.submission in racing
    ]
    legend = [
        element("text", clipped(workload), class_="ink strong"),
        *_legend(rows, looks),
        *(element("text", line, y=16, class_="soft") for line in marks_told(own)),
    ]
    names = [workload, *(row.submission for row in rows)]
    return plot_card(f"{workload}: learning curves", description, drawing, legend, names)


def _board_row(
    row: Row,
    board: Board,
    top: float,
    looks: Styles,
    scale: Scale,
    edges: Mapping[str, float],
) -> Markup:
    """A line of the board; `edges` are where the columns of times end."""
    look, base = looks[row.submission], top + 20
    faint = "soft" if row.is_reference else "ink"
    strong = "" if row.is_reference else " strong"
    sample = element("g", swatch(look, [row.framework]), transform=f"translate(46,{top + 8})")
    times = [
        element(
            "text",
            _time_text(row.cells[name], board),
            x=edge,
            y=base,
            class_=f"{faint} end",
        )
        for name, edge in edges.items()
    ]
    return join(
        element("path", d=f"M{_PAD},{top}H{max([scale.end + 62, *edges.values()])}", class_="grid"),
        element("text", rank_text(row), x=38, y=base, class_="soft end"),
        sample,
        element("text", clipped(row.submission), x=_NAME, y=base, class_=f"{faint}{strong}"),
        element("text", row.framework, x=scale.start - 16, y=base, class_="soft end"),
        element("g", score_bar(row, scale, top + _LINE / 2), class_=look.colour),
        element(
            "text", f"{row.score:.3f}", x=scale.end + 62, y=base, class_=f"{faint}{strong} end"
        ),
        *times,
    )


def _time_text(cell: Cell, board: Board) -> str:
    return time_text(cell.time, board.clock) if known_time(cell) else f"×{cell.ratio:.2f}"


def _legend(rows: Iterable[Row | Standing], looks: Styles) -> list[Markup]:
    """Lines for beside a plot: the submissions, and what dashes mean."""
    entries = [
        join(
            swatch(looks[row.submission], [row.framework]),
            element("text", clipped(row.submission), x=38, y=12, class_="ink"),
        )
        for row in rows
    ]
    dashes = element("text", "torch solid, jax dashed", y=16, class_="soft")
    return [*entries, dashes]


def plot_card(
    title: str,
    description: str,
    drawing: Markup,
    legend: Sequence[Markup],
    names: Iterable[str],
) -> str:
    """A plot of the usual size on a card, with lines of legend at its right that hold `names`.

    `description` is for screen readers.
    """
    plot = element("g", drawing, transform="translate(10,8)")
    lines = [
        element("g", line, transform=f"translate({WIDTH + 6},{24 + 22 * place})")
        for place, line in enumerate(legend)
    ]
    height = max(HEIGHT + 12, 34 + 22 * len(legend))
    return card(
        title,
        description,
        join(plot, *lines),
        WIDTH + max(190, 38 + round(room(names)) + 16),
        height,
    )


def _looks(board: Board) -> Styles:
    return styles(row.submission for row in board.rows)


def card(title: str, description: str, drawing: Markup, width: int, height: float) -> str:
    """A drawing on a card of its own, with its style sheet; `description` is for screen readers."""
    ground = element(
        "rect", x=0.5, y=0.5, width=width - 1, height=height - 1, rx=10, class_="paper card"
    )
    return element(
        "svg",
        element("title", title),
        element("desc", description),
        element("style", _sheet()),
        ground,
        drawing,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height:g}",
        width=width,
        height=f"{height:g}",
        class_="plot",
        role="img",
    )


def _sheet() -> Markup:
    light, dark = (f".halo {{ stroke: {palette['paper']}; }}\n" for palette in (LIGHT, DARK))
    return Markup(
        f"{sheet()}{STYLE}{light}@media screen and (prefers-color-scheme: dark) {{\n{dark}}}\n"
    )
