"""A board as a terminal table, CSV, JSON and Markdown.

Times are seconds on the clocks `wall` and `cpu`, and steps on `steps`. A missed target is an
em dash for people, an empty field in CSV and null in JSON.
"""

from __future__ import annotations

import dataclasses
import io
import math
import textwrap
from collections.abc import Sequence
from csv import writer
from json import dumps
from typing import TYPE_CHECKING, Literal

from scoring.board import Board, Cell, Row
from scoring.equal_budget import EqualBudget, Standing
from scoring.ground.clocks import CLOCKS
from scoring.ground.words import Clock
from scoring.protocols import PROTOCOLS
from scoring.report.axes import short

if TYPE_CHECKING:
    from rich.table import Table

MISSED = "—"
RANKS_TOLD = "a range of ranks: these studies cannot narrow it down"
CHANCE_TOLD = "P(best): the share of resampled studies in which the submission ranks first"
TRIALS_TOLD = (
    "2/3 after a time: 2 of 3 trials met the target; —: half or more of the studies missed it, or "
    "none was run"
)
NAMED = 8
"""More that may be the best are counted, not named."""
_ROW_FIELDS = (
    *("protocol", "clock", "rank_low", "rank_high", "p_best"),
    *("submission", "framework", "is_reference", "score", "score_low", "score_high"),
)
_SUBMISSION = 1
"""The column of a board with its submissions' names."""
_GAP = 2
_CELL_FIELDS = ("workload", "time", "ratio", "reached", "trials", "study_times")


def terminal(board: Board, width: int | None = None) -> str:
    """A table with the notes beneath, coloured if stdout is a terminal.

    Beyond `width`, by default the terminal's, workloads follow in tables of their own, and lines of
    words go on beneath themselves; where stdout is no terminal they do not.
    """
    import rich.console
    import rich.text

    console = rich.console.Console(width=width, highlight=False)
    is_wide = width is None and not console.is_terminal
    if is_wide:
        console.width = 400

    words = textwrap.TextWrapper(
        console.width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )

    def tell(line: str, style: str = "") -> None:
        text = rich.text.Text(line if is_wide else words.fill(line), style)
        console.print(text, soft_wrap=True)

    blocks = _blocks(board, console.width)
    with console.capture() as captured:
        if board.rows:
            tell(_title(board), "italic")
        for place, columns in enumerate(blocks):
            if place:
                console.print()
            console.print(_block(board, columns))
        for race in board.at_equal_budget:
            tell(_budget_title(race), "italic")
            for line in _standings(race):
                tell(f"  {line}")
        for note in _told_beneath(board):
            tell(f"- {note}")
    return captured.get()


def _block(board: Board, columns: Sequence[int]) -> Table:
    """Some of the board's columns, a row a submission."""
    import rich.box
    import rich.table
    import rich.text

    table = rich.table.Table(
        box=rich.box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True
    )
    headings = _folded_headings(board)
    for column in columns:
        table.add_column(headings[column], justify=_justify(column), overflow="fold")
    entrants = [row for row in board.rows if not row.is_reference]
    # Where any may be the best, none stands out.
    tells = any(row.rank_low != 1 for row in entrants) or len(entrants) == 1
    for row in board.rows:
        first = tells and row.rank_low == 1
        style = "dim" if row.is_reference else "bold" if first else None
        texts = _texts(board, row)
        table.add_row(*(rich.text.Text(texts[column]) for column in columns), style=style)
    return table


def _blocks(board: Board, width: int) -> list[list[int]]:
    """Which columns stand side by side: all where they fit, else scores first, then workloads.

    A further block begins with the submissions' names.
    """
    if not board.rows:
        return []
    from rich.cells import cell_len

    lines = [_folded_headings(board), *(_texts(board, row) for row in board.rows)]
    widths = [
        _GAP + max(cell_len(part) for text in column for part in text.split("\n"))
        for column in zip(*lines, strict=True)
    ]
    if sum(widths) - _GAP <= width:
        return [list(range(len(widths)))]
    first = len(widths) - len(board.workloads)
    blocks = [list(range(first))]
    for column in range(first, len(widths)):
        last = blocks[-1]
        full = sum(widths[one] for one in [*last, column]) - _GAP > width
        if len(blocks) == 1 or (full and len(last) > 1):
            blocks.append([_SUBMISSION, column])
        else:
            last.append(column)
    return blocks


def markdown(board: Board) -> str:
    """A GitHub table with a heading line above and the notes as a list beneath."""
    lines: list[str] = []
    if board.rows:
        headings = _headings(board)
        lines += [f"**{_title(board)}**", "", _line(headings)]
        lines.append(
            _line(["---:" if _justify(i) == "right" else "---" for i in range(len(headings))])
        )
        lines += [_line(_texts(board, row)) for row in board.rows]
    for race in board.at_equal_budget:
        lines += ["", f"**{_budget_title(race)}**", "", *(f"- {one}" for one in _standings(race))]
    notes = [f"- {note}" for note in _told_beneath(board)]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def csv(board: Board) -> str:
    """One line a submission and workload, after a header; scores repeat over a row's workloads."""
    out = io.StringIO()
    lines = writer(out, lineterminator="\n")
    lines.writerow([*_ROW_FIELDS, *_CELL_FIELDS])
    for row in board.rows:
        low, high = row.interval or (math.nan, math.nan)
        head: list[object] = [board.protocol, board.clock, row.rank_low or "", row.rank_high or ""]
        head.append("" if row.p_best is None else row.p_best)
        head += [row.submission, row.framework, int(row.is_reference)]
        head += [row.score, _blank(low), _blank(high)]
        for cell in row.cells.values():
            studies = ";".join(str(_blank(time)) for time in cell.study_times)
            times = [_blank(cell.time), _blank(cell.ratio), cell.reached, cell.trials, studies]
            lines.writerow([*head, cell.workload, *times])
    return out.getvalue()


def json(board: Board) -> str:
    """The whole board; infinite times and ratios are null, and so is a reference's rank."""
    rows = [
        {
            "rank_low": row.rank_low or None,
            "rank_high": row.rank_high or None,
            "p_best": row.p_best,
            "submission": row.submission,
            "framework": row.framework,
            "is_reference": row.is_reference,
            "score": row.score,
            "interval": row.interval,
            "cells": {name: _cell(cell) for name, cell in row.cells.items()},
            "profile": board.profile(row),
        }
        for row in board.rows
    ]
    body = {
        "protocol": board.protocol,
        "clock": board.clock,
        "tau_max": board.tau_max,
        "workloads": board.workloads,
        "rows": rows,
        "at_equal_budget": [_race(race) for race in board.at_equal_budget],
        "notes": board.notes,
        "provenance": dataclasses.asdict(board.provenance) if board.provenance else None,
    }
    return dumps(body, indent=2, allow_nan=False) + "\n"


def bare_time_text(time: float, clock: Clock) -> str:
    """As `time_text`, without the words for steps: for tables whose title has them."""
    if math.isinf(time) or CLOCKS[clock].in_seconds:
        return time_text(time, clock)
    return f"{time:,.0f}"


def time_text(time: float, clock: Clock) -> str:
    """`12.3 s`, `1,234 s`, `400 steps`; an em dash for infinity."""
    if math.isinf(time):
        return MISSED
    if not CLOCKS[clock].in_seconds:
        return f"{time:,.0f} {CLOCKS[clock].unit}"
    return f"{time:,.0f} s" if time >= 999.5 else f"{time:.3g} s"


def interval_text(row: Row) -> str:
    """`0.880–0.950`, empty where the interval is not known."""
    if row.interval is None:
        return ""
    low, high = row.interval
    return f"{low:.3f}–{high:.3f}"


def rank_text(row: Row) -> str:
    """`1`; `1–3` where the studies allow any of these; `ref` for a reference."""
    if row.is_reference:
        return "ref"
    low, high = row.rank_low, row.rank_high
    return str(low) if low == high else f"{low}–{high}"


def chance_text(row: Row) -> str:
    """The probability of being best; empty where not known."""
    return "" if row.p_best is None else share_text(row.p_best)


def share_text(share: float) -> str:
    """A share of redrawn studies, `87 %`, or `>99 %` for nearly 1."""
    if 0 < share < 0.005 or 0.995 < share < 1:
        return "<1 %" if share < 0.5 else ">99 %"
    return f"{100 * share:.0f} %"


def tells_chances(board: Board) -> bool:
    """Whether its studies are enough to tell how likely any submission is the best."""
    return any(row.p_best is not None for row in board.rows)


def spread_text(standing: Standing) -> str:
    """Lowest and highest of the studies, as `0.91–0.93 of 3`."""
    values = [value for value in standing.study_values if math.isfinite(value)]
    if not values:
        return MISSED
    low, high = short(min(values), 4), short(max(values), 4)
    return f"{low if low == high else f'{low}–{high}'} of {len(standing.study_values)}"


def _budget_title(race: EqualBudget) -> str:
    least = "lowest" if race.goal == "min" else "highest"
    return f"{race.workload} has no target; {least} {race.metric} within the same budget"


def _standings(race: EqualBudget) -> list[str]:
    return [
        f"{short(one.value, 4)}  {one.submission} ({one.framework}), studies {spread_text(one)}"
        for one in race.standings
    ]


def _title(board: Board) -> str:
    return f"{board.protocol} score, time-to-result in {CLOCKS[board.clock].title}"


def _headings(board: Board) -> list[str]:
    chance = ["P(best)"] if tells_chances(board) else []
    return ["rank", "submission", "framework", "score", "95 %", *chance, *board.workloads]


def _folded_headings(board: Board) -> list[str]:
    """Ids are long: family above scale and version."""
    return [heading.replace("-", "-\n", 1) for heading in _headings(board)]


def _justify(column: int) -> Literal["left", "right"]:
    return "left" if column in (1, 2) else "right"


def _texts(board: Board, row: Row) -> list[str]:
    cells = [_cell_text(row.cells[name], board.clock) for name in board.workloads]
    score = [f"{row.score:.3f}", interval_text(row)]
    score += [chance_text(row)] if tells_chances(board) else []
    return [rank_text(row), row.submission, row.framework, *score, *cells]


def _cell_text(cell: Cell, clock: Clock) -> str:
    if not cell.trials:
        return MISSED
    time = bare_time_text(cell.time, clock) if known_time(cell) else f"×{cell.ratio:.2f}"
    return f"{time} {cell.reached}/{cell.trials}"


def known_time(cell: Cell) -> bool:
    """Whether its studies' times have a median, though it may be infinite."""
    return not math.isnan(cell.time)


def footnotes(board: Board) -> list[str]:
    """The lines beneath a board: which entry is best, how to read its ranks, then its notes."""
    notes = list(board.notes)
    if tells_chances(board):
        notes.insert(0, CHANCE_TOLD)
    if any(row.rank_low < row.rank_high for row in board.rows):
        notes.insert(0, RANKS_TOLD)
    return [*_which_is_best(board), *notes]


def _which_is_best(board: Board) -> list[str]:
    """The verdict of the ranks; none for a single entry or a protocol without uncertainty."""
    entrants = [row for row in board.rows if not row.is_reference]
    if len(entrants) < 2 or PROTOCOLS[board.protocol].raw:
        return []
    first = [row.submission for row in entrants if row.rank_low == 1]
    if len(first) == 1:
        return [f"{first[0]} is significantly the best of these submissions (familywise 5 %)"]
    if len(first) == len(entrants):
        return ["no submission is significantly the best; more studies may decide"]
    which = ", ".join(first) if len(first) <= NAMED else f"the {len(first)} whose rank may be 1"
    return [
        f"none of {which} is significantly the best; every other submission is significantly "
        "worse than another one"
    ]


def _told_beneath(board: Board) -> list[str]:
    """The same beneath a text table, whose cells need a legend too."""
    return [*([TRIALS_TOLD] if board.rows else []), *footnotes(board)]


def _line(fields: list[str]) -> str:
    return "| " + " | ".join(field.replace("|", "\\|") for field in fields) + " |"


def _blank(value: float) -> float | str:
    return value if math.isfinite(value) else ""


def _null(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _race(race: EqualBudget) -> dict[str, object]:
    return {
        "workload": race.workload,
        "metric": race.metric,
        "goal": race.goal,
        "standings": [
            {
                "submission": one.submission,
                "framework": one.framework,
                "is_reference": one.is_reference,
                "value": _null(one.value),
                "study_values": [_null(value) for value in one.study_values],
            }
            for one in race.standings
        ],
    }


def _cell(cell: Cell) -> dict[str, object]:
    return {
        "time": _null(cell.time),
        "ratio": _null(cell.ratio),
        "study_times": [_null(time) for time in cell.study_times],
        "reached": cell.reached,
        "trials": cell.trials,
    }
