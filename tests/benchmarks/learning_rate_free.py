"""The question of "How far away are truly hyperparameter-free learning algorithms?" as a table.

    python -m tests.benchmarks.learning_rate_free DEFAULTS.. [--calibrated RUN..]

DEFAULTS are runs of the suite `learning-rate-free`, whole or in parts (`-s NAME -w ID`); those
after `--calibrated` raced the points that `gradathlon calibrate` found. Prints Markdown: how many
studies of each method met each target, its median steps to it in NadamW's at the defaults, its
score with interval, and what its trials cost.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from scoring.board import Row, compute
from scoring.frame import load
from suite.columns import markdown

YARDSTICK = "nadamw_jax"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("defaults", type=Path, nargs="+")
    parser.add_argument("--calibrated", type=Path, nargs="*", default=[])
    given = parser.parse_args()
    print(told(given.defaults, given.calibrated))


def told(defaults: Sequence[Path], calibrated: Sequence[Path]) -> str:
    """The table of both kinds of points, best score first."""
    board = compute(defaults, clock="steps")
    yardstick = {
        id: cell.time
        for row in board.rows
        if row.submission == YARDSTICK
        for id, cell in row.cells.items()
    }
    lines = _lines("defaults", defaults, yardstick)
    if calibrated:
        lines += _lines("calibrated", calibrated, yardstick)
    lines.sort(key=lambda line: -line[0])
    heads = ("method", "point", *board.workloads, "score", "core-hours")
    return markdown(heads, [line[1] for line in lines])


def _lines(
    point: str, runs: Sequence[Path], yardstick: dict[str, float]
) -> list[tuple[float, tuple[str, ...]]]:
    trials = load(runs)
    hours: pd.Series[float] = trials.groupby("submission")["cpu_end"].sum() / 3600
    lines = []
    for row in compute(runs, clock="steps").rows:
        if not row.is_reference:
            cells = [_cell(row, id, yardstick.get(id, math.nan)) for id in yardstick]
            spent = f"{hours[row.submission]:.2f}"
            lines.append((row.score, (row.submission, point, *cells, _score(row), spent)))
    return lines


def _cell(row: Row, workload: str, steps: float) -> str:
    cell = row.cells.get(workload)
    if cell is None or not cell.trials:
        return ""
    ratio = f", {cell.time / steps:.2f}" if math.isfinite(cell.time) else ""
    return f"{cell.reached} of {cell.trials}{ratio}"


def _score(row: Row) -> str:
    if row.interval is None:
        return f"{row.score:.3f}"
    low, high = row.interval
    return f"{row.score:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
