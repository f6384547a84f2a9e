"""Who stands where: a critical-difference plot and a bump plot of a board, each alone on a card."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from scoring.board import Board, Row
from scoring.ranking import surely_better
from scoring.report.axes import Scale
from scoring.report.markup import Markup, element, join
from scoring.report.names import clipped, room
from scoring.report.palette import Style, styles, swatch
from scoring.report.pictures import card

_AXIS = 300
_LINE = 24
_NUMBERS = 12
"""On the axis of ranks, at most."""


def critical_difference_svg(board: Board) -> str:
    """Mean ranks over workloads; a bar has knobs at entries that the board tells not apart.

    As in Demsar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets", with the
    board's own paired test over studies in place of his over workloads. His one critical distance
    makes neighbours of all that it tells not apart; a paired test need not, and a bar may pass an
    entry that has no knob on it.
    """
    rows = [row for row in board.rows if not row.is_reference]
    means = mean_ranks(rows)
    order = sorted(rows, key=lambda row: (means[row.submission], row.submission))
    edge = room(means) + 36
    scale = Scale(1.0, max(2.0, float(len(rows))), edge, edge + _AXIS)
    width = 2 * edge + _AXIS
    groups = not_told_apart(board, [row.submission for row in order])
    top = 70 + 10 * len(groups)
    height = top + _LINE * ((len(order) + 1) // 2) + 24
    bars = [
        _bar([scale(means[name]) for name in names], 64 + 10 * place)
        for place, names in enumerate(groups)
    ]
    looks = styles(row.submission for row in board.rows)
    half = (len(order) + 1) // 2  # the better at the left, the others at the right
    entries = []
    for place, row in enumerate(order):
        depth, end = (
            (place, scale.start - 12) if place < half else (len(order) - 1 - place, scale.end + 12)
        )
        x, y = scale(means[row.submission]), top + _LINE * depth
        entries.append(_entry(row, looks[row.submission].colour, x, y, end))
    drawing = join(
        element("text", "mean rank over workloads", x=width / 2, y=20, class_="soft middle"),
        _rank_axis(scale, len(rows)),
        *entries,
        element("g", *bars, class_="cr"),
        element(
            "text",
            "dots on one bar: not significantly different",
            x=width / 2,
            y=height - 14,
            class_="soft middle",
        ),
    )
    description = "; ".join(f"{row.submission} {means[row.submission]:.2f}" for row in order)
    joined = "; ".join(" - ".join(names) for names in groups) or "none"
    return card(
        "Critical differences",
        f"{description}. No significant difference: {joined}",
        drawing,
        width,
        height,
    )


def bump_svg(board: Board) -> str:
    """Every entry's rank on each workload, and by its score at the right."""
    rows = [row for row in board.rows if not row.is_reference]
    columns = [*board.workloads, "score"]
    ranks = {name: _ranks(rows, name) for name in board.workloads}
    ranks["score"] = {row.submission: float(place + 1) for place, row in enumerate(rows)}
    looks = styles(row.submission for row in board.rows)
    down = Scale(1.0, max(2.0, float(len(rows))), 52, 52 + _LINE * max(1, len(rows) - 1))
    column = max(100, room(columns) + 16)
    across = [column // 2 + column * place + 8 for place in range(len(columns))]
    lines = []
    for row in rows:
        heights = (down(ranks[name][row.submission]) for name in columns)
        points = list(zip(across, heights, strict=True))
        lines.append(_bump(row, points, looks[row.submission]))
    heads = [
        element("text", clipped(name), x=x, y=24, class_="soft middle")
        for name, x in zip(columns, across, strict=True)
    ]
    width = across[-1] + max(column // 2, 48 + room(ranks["score"])) + 16
    description = "; ".join(
        f"{row.submission}: {', '.join(f'{ranks[c][row.submission]:g}' for c in columns)}"
        for row in rows
    )
    return card("Ranks by workload", description, join(*heads, *lines), width, down.end + 26)


def mean_ranks(rows: Sequence[Row]) -> Mapping[str, float]:
    """By submission: its rank on a workload, averaged over workloads; equal ratios share."""
    workloads = list(rows[0].cells) if rows else []
    by_workload = [_ranks(rows, name) for name in workloads]
    return {
        row.submission: float(np.mean([ranks[row.submission] for ranks in by_workload]))
        for row in rows
    }


def not_told_apart(board: Board, order: Sequence[str]) -> list[list[str]]:
    """Groups within which the board tells no two apart; every pair that it does not is in one."""
    sure = surely_better([board.scores[name] for name in order])
    apart = sure | sure.T
    groups: list[list[int]] = []
    for pair in itertools.combinations(range(len(order)), 2):
        if apart[pair] or any(set(pair) <= set(group) for group in groups):
            continue
        group = list(pair)
        for other in range(len(order)):
            if other not in pair and not apart[other, group].any():
                group.append(other)
        groups.append(sorted(group))
    return [[order[place] for place in group] for group in groups]


def _ranks(rows: Sequence[Row], workload: str) -> dict[str, float]:
    ratios = [row.cells[workload].ratio for row in rows]
    ranked = stats.rankdata(ratios)
    return {row.submission: float(rank) for row, rank in zip(rows, ranked, strict=True)}


def _rank_axis(scale: Scale, count: int) -> Markup:
    ticks = [
        join(
            element("path", d=f"M{scale(rank)},44v8", class_="axis"),
            element("text", str(rank), x=scale(rank), y=38, class_="soft middle"),
        )
        for rank in range(1, count + 1, max(1, math.ceil(count / _NUMBERS)))
    ]
    return join(element("path", d=f"M{scale.start},52H{scale.end}", class_="axis"), *ticks)


def _bar(knobs: Sequence[float], y: float) -> Markup:
    line = element("path", d=f"M{min(knobs)},{y}H{max(knobs)}", class_="line", stroke_width=2)
    return join(line, *(element("circle", cx=x, cy=y, r=3.5, class_="fill") for x in knobs))


def _entry(row: Row, colour: str, x: float, y: float, edge: float) -> Markup:
    """A line down from the axis at `x` and out to the name at `edge`."""
    left = edge < x
    name = element(
        "text",
        clipped(row.submission),
        x=edge - 6 if left else edge + 6,
        y=y + 4,
        class_="ink end" if left else "ink",
    )
    line = element("path", d=f"M{x},52V{y}H{edge}", class_=f"line {row.framework}")
    return join(element("g", line, class_=colour), name)


def _bump(row: Row, points: Sequence[tuple[float, float]], look: Style) -> Markup:
    bends = [
        f"C{(a + c) / 2},{b} {(a + c) / 2},{d} {c},{d}"
        for (a, b), (c, d) in itertools.pairwise(points)
    ]
    path = f"M{points[0][0]},{points[0][1]}{''.join(bends)}"
    marks = [
        element("path", d=look.marker, class_="mark", transform=f"translate({x},{y})")
        for x, y in points
    ]
    x, y = points[-1]
    sample = element("g", swatch(look, [row.framework]), transform=f"translate({x + 12},{y - 8})")
    return join(
        element(
            "g",
            element("path", d=path, class_=f"line {row.framework}", stroke_width=2),
            *marks,
            class_=look.colour,
        ),
        sample,
        element("text", clipped(row.submission), x=x + 48, y=y + 4, class_="ink"),
    )
