"""What a page needs to compare any two of a board's submissions: every pair's difference."""

from __future__ import annotations

import itertools
import math

from scoring.board import Board
from scoring.ground.clocks import CLOCKS
from scoring.protocols import PROTOCOLS
from scoring.ranking import chance_of_better, difference
from scoring.report.plots import Styles

MOST = 40
"""Of so many submissions, the best, every pair is told."""


def versus_data(board: Board, looks: Styles) -> dict[str, object]:
    """By series: name, score and cells; by two series, lower first: how they differ.

    A cell is its time, its ratio and whether there were trials. A pair's numbers are the mean
    difference of the studies' scores, the ends of its 95 % interval, p, the share of redrawn
    studies in which the first scores higher, and whether an end was held within what two scores
    can differ by; null where not known.
    """
    rows = {looks[row.submission].series: row for row in board.rows}
    entries = {
        series: {
            "name": row.submission,
            "score": row.score,
            "cells": [[cell.time, cell.ratio, cell.trials > 0] for cell in row.cells.values()],
        }
        for series, row in rows.items()
    }
    shown = [looks[row.submission].series for row in board.rows[:MOST]]
    pairs = {}
    for one, other in itertools.combinations(sorted(shown), 2):
        pairs[f"{one},{other}"] = _pair(board, rows[one].submission, rows[other].submission)
    return {
        "workloads": board.workloads,
        "unit": CLOCKS[board.clock].unit,
        "tells": not PROTOCOLS[board.protocol].raw,
        "most": MOST,
        "entries": entries,
        "pairs": pairs,
    }


def _pair(board: Board, one: str, other: str) -> list[float | bool | None]:
    if one not in board.scores or other not in board.scores:
        return [None] * 6
    a, b = board.scores[one], board.scores[other]
    gap, chance = difference(a, b), chance_of_better(a, b)
    has_interval = math.isfinite(gap.low)
    numbers = [gap.mean, gap.low, gap.high, gap.p] if has_interval else [gap.mean, *[None] * 3]
    rounded = [None if n is None else float(f"{n:.4g}") for n in [*numbers, chance]]
    return [*rounded, has_interval and gap.held]
