"""Who stands where: a critical-difference plot and a bump plot of a board, each alone on a card."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from scoring.board import Board, Row
from scoring.ranking import surely_better
from scoring.report.axes import Scale
from scoring.report.markup import Markup, element, join
from scoring.report.palette import styles, swatch
from scoring.report.pictures import card
from scoring.report.plots import Styles, clipped

_WIDTH = 700
_EDGE = 200
_LINE = 24
_COLUMN = 145


def critical_difference_svg(board: Board) -> str:
    """Mean ranks over workloads; a bar joins entries that the board's test tells not apart.

    As in Demsar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets", with the
    board's own paired test over studies in place of his over workloads.
    """
    rows = [row for row in board.rows if not row.is_reference]
    means = mean_ranks(rows)
    order = sorted(rows, key=lambda row: (means[row.submission], row.submission))
    scale = Scale(1.0, max(2.0, float(len(rows))), _EDGE, _WIDTH - _EDGE)
    cliques = not_told_apart(board, [row.submission for row in order])
    top = 70 + 10 * len(cliques)
    height = top + _LINE * ((len(order) + 1) // 2) + 24
    ticks = [
        join(
            element("path", d=f"M{scale(rank)},44v8", class_="axis"),
            element("text", str(rank), x=scale(rank), y=38, class_="soft middle"),
        )
        for rank in range(1, len(rows) + 1)
    ]
    bars = [
        element(
            "path",
            d=f"M{scale(means[names[0]]) - 4},{64 + 10 * place}H{scale(means[names[-1]]) + 4}",
            class_="line ink",
            stroke_width=4,
        )
        for place, names in enumerate(cliques)
    ]
    looks = styles(row.submission for row in board.rows)
    entries = [
        _entry(row, place, len(order), scale(means[row.submission]), top, looks)
        for place, row in enumerate(order)
    ]
    drawing = join(
        element("text", "mean rank over workloads", x=_WIDTH / 2, y=20, class_="soft middle"),
        element("path", d=f"M{scale.start},52H{scale.end}", class_="axis"),
        *ticks,
        *entries,
        element("g", *bars, class_="cr"),
    )
    description = "; ".join(f"{row.submission} {means[row.submission]:.2f}" for row in order)
    joined = "; ".join(" - ".join(names) for names in cliques) or "none"
    return card(
        "Critical differences", f"{description}. Not told apart: {joined}", drawing, _WIDTH, height
    )


def bump_svg(board: Board) -> str:
    """Every entry's rank on each workload, and by its score at the right."""
    rows = [row for row in board.rows if not row.is_reference]
    columns = [*board.workloads, "score"]
    ranks = {name: _ranks(rows, name) for name in board.workloads}
    ranks["score"] = {row.submission: float(place + 1) for place, row in enumerate(rows)}
    looks = styles(row.submission for row in board.rows)
    scale = Scale(1.0, max(2.0, float(len(rows))), 52, 52 + _LINE * max(1, len(rows) - 1))
    lines = [_bump(row, [ranks[c][row.submission] for c in columns], scale, looks) for row in rows]
    heads = [
        element("text", clipped(name, 17), x=_x(place), y=24, class_="soft middle")
        for place, name in enumerate(columns)
    ]
    width = _x(len(columns) - 1) + _EDGE + 40
    description = "; ".join(
        f"{row.submission}: {', '.join(f'{ranks[c][row.submission]:g}' for c in columns)}"
        for row in rows
    )
    return card("Ranks by workload", description, join(*heads, *lines), width, scale.end + 26)


def mean_ranks(rows: Sequence[Row]) -> Mapping[str, float]:
    """By submission: its rank on a workload, averaged over workloads; equal ratios share."""
    workloads = list(rows[0].cells) if rows else []
    by_workload = [_ranks(rows, name) for name in workloads]
    return {
        row.submission: float(np.mean([ranks[row.submission] for ranks in by_workload]))
        for row in rows
    }


def not_told_apart(board: Board, order: Sequence[str]) -> list[list[str]]:
    """The longest stretches of `order` within which the board tells no two apart."""
    sure = surely_better([board.scores[name] for name in order])
    apart = sure | sure.T
    spans: list[tuple[int, int]] = []
    for first in range(len(order)):
        last = first
        while last + 1 < len(order) and not apart[first : last + 1, last + 1].any():
            last += 1
        if last > first and not any(low <= first and last <= high for low, high in spans):
            spans.append((first, last))
    return [list(order[low : high + 1]) for low, high in spans]


def _ranks(rows: Sequence[Row], workload: str) -> dict[str, float]:
    ratios = [row.cells[workload].ratio for row in rows]
    ranked = stats.rankdata(ratios)
    return {row.submission: float(rank) for row, rank in zip(rows, ranked, strict=True)}


def _entry(row: Row, place: int, count: int, x: float, top: float, looks: Styles) -> Markup:
    """A line down from the axis and out to the name: the better half left, the others right."""
    left = place < (count + 1) // 2
    depth = place if left else count - 1 - place
    y = top + _LINE * depth
    edge = _EDGE - 12 if left else _WIDTH - _EDGE + 12
    name = element(
        "text",
        clipped(row.submission, 22),
        x=edge - 6 if left else edge + 6,
        y=y + 4,
        class_="ink end" if left else "ink",
    )
    line = element("path", d=f"M{x},52V{y}H{edge}", class_=f"line {row.framework}")
    return join(element("g", line, class_=looks[row.submission].colour), name)


def _bump(row: Row, ranks: Sequence[float], scale: Scale, looks: Styles) -> Markup:
    look = looks[row.submission]
    points = [(_x(place), scale(rank)) for place, rank in enumerate(ranks)]
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
        element("text", clipped(row.submission, 18), x=x + 48, y=y + 4, class_="ink"),
    )


def _x(place: int) -> int:
    return 80 + _COLUMN * place
