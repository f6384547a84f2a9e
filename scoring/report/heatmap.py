"""Shades of ratios, and their heat map: time relative to the yardstick, by workload.

One scale for the page's board and for the picture: a shade for each half doubling, blue where a
submission is faster than the yardstick, orange where it is slower.
"""

from __future__ import annotations

import math

from scoring.board import Board, Cell, Row
from scoring.report.markup import Markup, element, join
from scoring.report.names import clipped, room

CELL, LINE, HEAD = 96, 30, 40
"""The least width of a cell, its height, and that of the head."""
LEGEND = 560
"""What the line beneath needs."""
_FAST, _SLOW = (0, 114, 178), (213, 94, 0)
"""Blue and vermilion, which colour-blind readers can distinguish."""
STRENGTHS = (0.1, 0.22, 0.36)
"""How much of the colour the shades 1 to 3 have, over the paper."""
_MISSED = "#c9ced4"


def shade(ratio: float) -> str:
    """The class of a ratio's shade: `fast1` to `fast3`, `slow1` to `slow3`, `even`, `missed`."""
    if not math.isfinite(ratio):
        return "missed"
    steps = min(len(STRENGTHS), round(abs(math.log2(max(ratio, 1e-3))) * 2))
    return "even" if steps == 0 else f"{'fast' if ratio < 1 else 'slow'}{steps}"


def ratio_text(cell: Cell) -> str:
    """`×1.25`, or in a word why there is none; void: met, but the protocol does not count it."""
    if math.isfinite(cell.ratio):
        return f"×{cell.ratio:.2f}"
    if not cell.trials:
        return "not run"
    return "missed" if math.isinf(cell.time) else "void"


def shade_sheet() -> Markup:
    """The page's style of each shade, over light and dark paper."""
    rules = [
        f".{word}{place} {{ background: rgb({red} {green} {blue} / {strength}); }}"
        for word, (red, green, blue) in (("fast", _FAST), ("slow", _SLOW))
        for place, strength in enumerate(STRENGTHS, start=1)
    ]
    missed = [f".shade-missed {{ background: {_MISSED}{alpha}; }}" for alpha in ("55", "22")]
    dark = f"@media screen and (prefers-color-scheme: dark) {{ {missed[1]} }}"
    return Markup("\n".join([*rules, missed[0], dark, ""]))


def heatmap_svg(board: Board) -> str:
    """Rows are submissions, best score first; blue is faster than the yardstick, orange slower."""
    names = room(row.submission for row in board.rows) + 20
    cell = max(CELL, room(board.workloads) + 12)
    width = max(names + cell * len(board.workloads) + 10, LEGEND)
    height = HEAD + LINE * len(board.rows) + 56
    head = [
        _text(clipped(name), names + cell * (place + 0.5), HEAD - 12, "middle")
        for place, name in enumerate(board.workloads)
    ]
    rows = [
        _row(row, board, HEAD + LINE * place, names, cell) for place, row in enumerate(board.rows)
    ]
    key = (
        "time relative to the yardstick, one shade per factor of √2: blue faster, orange slower,",
        f"grey missed; beyond ×{board.tau_max:g} it counts 0",
    )
    description = "; ".join(
        f"{row.submission}: {', '.join(f'{id} {ratio_text(row.cells[id])}' for id in row.cells)}"
        for row in board.rows
    )
    return element(
        "svg",
        element("title", "Ratios to the yardstick"),
        element("desc", description),
        element("rect", width=width, height=height, fill="#ffffff"),
        *head,
        *rows,
        *(
            _text(line, 10, height - 30 + 16 * place, "start", "#5d6670")
            for place, line in enumerate(key)
        ),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        font_family='system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif',
        font_size=12,
        role="img",
    )


def _row(row: Row, board: Board, top: float, left: float, width: float) -> Markup:
    cells = [
        _cell(row.cells[name], left + width * place, top, width)
        for place, name in enumerate(board.workloads)
    ]
    return join(_text(clipped(row.submission), left - 10, top + 20, "end"), *cells)


def _cell(cell: Cell, left: float, top: float, width: float) -> Markup:
    fill = _colour(shade(cell.ratio))
    return join(
        element("rect", x=left + 1, y=top + 1, width=width - 2, height=LINE - 2, rx=3, fill=fill),
        _text(ratio_text(cell), left + width / 2, top + 20, "middle"),
    )


def _colour(word: str) -> str:
    """A shade over white paper."""
    if word in ("even", "missed"):
        return "#f5f5f2" if word == "even" else _MISSED
    strength = STRENGTHS[int(word[-1]) - 1] * 1.6  # no table's text stands around it
    hue = _FAST if word.startswith("fast") else _SLOW
    return "#" + "".join(f"{round(255 + (part - 255) * strength):02x}" for part in hue)


def _text(text: str, x: float, y: float, anchor: str, ink: str = "#1c2025") -> Markup:
    return element("text", text, x=x, y=y, text_anchor=anchor, fill=ink)
