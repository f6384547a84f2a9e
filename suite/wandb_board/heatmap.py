"""A heat map of ratios as SVG: every submission's time over the yardstick's, on every workload."""

from __future__ import annotations

import math

from scoring.board import Board, Cell, Row
from scoring.report.markup import Markup, element, join
from scoring.report.plots import clipped

CELL, LINE, NAMES, HEAD = 132, 30, 190, 40
LEGEND = 540
"""What the line beneath needs."""
_FAST, _EVEN, _SLOW, _MISSED = (0, 114, 178), (245, 245, 242), (213, 94, 0), (150, 156, 163)
"""Blue, paper and vermilion, told apart by those who see no red or green; grey for a miss."""


def heatmap_svg(board: Board) -> str:
    """Rows are submissions, best score first; blue is faster than the yardstick, orange slower."""
    width = max(NAMES + CELL * len(board.workloads) + 10, LEGEND)
    height = HEAD + LINE * len(board.rows) + 40
    head = [
        _text(clipped(name, 18), NAMES + CELL * (place + 0.5), HEAD - 12, "middle")
        for place, name in enumerate(board.workloads)
    ]
    rows = [_row(row, board, HEAD + LINE * place) for place, row in enumerate(board.rows)]
    told = (
        f"time over the yardstick's: blue faster, orange slower up to ×{board.tau_max:g}, grey "
        "missed or beyond"
    )
    return element(
        "svg",
        element("title", "Ratios to the yardstick"),
        element("rect", width=width, height=height, fill="#ffffff"),
        *head,
        *rows,
        _text(told, 10, height - 14, "start", "#5d6670"),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        font_family='system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif',
        font_size=12,
        role="img",
    )


def _row(row: Row, board: Board, top: float) -> Markup:
    cells = [
        _cell(row.cells[name], board.tau_max, NAMES + CELL * place, top)
        for place, name in enumerate(board.workloads)
    ]
    return join(_text(clipped(row.submission, 24), NAMES - 10, top + 20, "end"), *cells)


def _cell(cell: Cell, tau_max: float, left: float, top: float) -> Markup:
    colour, ink = _colour(cell.ratio, tau_max)
    text = f"×{cell.ratio:.2f}" if math.isfinite(cell.ratio) else "missed"
    if not cell.trials:
        text = "not run"
    return join(
        element("rect", x=left + 1, y=top + 1, width=CELL - 2, height=LINE - 2, rx=3, fill=colour),
        _text(text, left + CELL / 2, top + 20, "middle", ink),
    )


def _colour(ratio: float, tau_max: float) -> tuple[str, str]:
    """What fills a cell, and the ink that can be read on it."""
    if not ratio <= tau_max:
        return _hex(_MISSED), "#ffffff"
    share = max(-1.0, math.log(max(ratio, 1e-9)) / math.log(tau_max))
    end = _FAST if share < 0 else _SLOW
    mixed = tuple(round(a + (b - a) * abs(share)) for a, b in zip(_EVEN, end, strict=True))
    return _hex(mixed), "#ffffff" if abs(share) > 0.6 else "#1c2025"


def _hex(rgb: tuple[int, ...]) -> str:
    return "#" + "".join(f"{part:02x}" for part in rgb)


def _text(text: str, x: float, y: float, anchor: str, ink: str = "#1c2025") -> Markup:
    return element("text", text, x=x, y=y, text_anchor=anchor, fill=ink)
