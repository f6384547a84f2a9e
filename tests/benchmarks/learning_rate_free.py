"""The question of "How far away are truly hyperparameter-free learning algorithms?" as a table.

    python -m tests.benchmarks.learning_rate_free DEFAULTS.. [--calibrated RUN..]

DEFAULTS are runs of the suite `learning-rate-free`, whole or in parts (`-s NAME -w ID`), with or
without references; those after `--calibrated` raced the points that `gradathlon calibrate` found.
Prints Markdown: how many studies of each method met each target and its median steps to it in those
of NadamW at its defaults, the score that these ratios make, and what its trials cost.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from scoring.board import Cell, Row, compute
from scoring.frame import load
from scoring.gradathlon import mean_score
from suite.columns import markdown

YARDSTICK = "nadamw_jax"


def main() -> None:
    """Print the table of both kinds of points, best score first."""
    parser = argparse.ArgumentParser()
    parser.add_argument("defaults", type=Path, nargs="+")
    parser.add_argument("--calibrated", type=Path, nargs="*", default=[])
    given = parser.parse_args()
    steps = yardstick(_rows(given.defaults))
    lines = _lines("defaults", given.defaults, steps)
    if given.calibrated:
        lines += _lines("calibrated", given.calibrated, steps)
    lines.sort(key=lambda line: (-line[0], line[1]))
    print(markdown(("method", "point", *steps, "score", "core-hours"), [one[1] for one in lines]))


def yardstick(rows: Sequence[Row]) -> dict[str, float]:
    """NadamW's median steps by workload."""
    (row,) = (row for row in rows if row.submission == YARDSTICK)
    return {id: cell.time for id, cell in row.cells.items()}


def ratios(cells: Mapping[str, Cell], steps: Mapping[str, float]) -> dict[str, float]:
    """To the yardstick's, by workload; infinite where more than half of the studies missed."""
    times = {id: cells[id].time if id in cells else math.inf for id in steps}
    return {id: time / steps[id] if math.isfinite(time) else math.inf for id, time in times.items()}


def _rows(runs: Sequence[Path]) -> Sequence[Row]:
    # The other protocol wants a reference's trials in every run.
    return compute(runs, clock="steps", protocol="algoperf").rows


def _lines(
    point: str, runs: Sequence[Path], steps: Mapping[str, float]
) -> list[tuple[float, tuple[str, ...]]]:
    hours = load(runs).groupby("submission")["cpu_end"].sum() / 3600
    lines = []
    for row in _rows(runs):
        compared = ratios(row.cells, steps)
        cells = [_cell(row.cells.get(id), ratio) for id, ratio in compared.items()]
        score, name = mean_score(compared), row.submission
        lines.append((score, (name, point, *cells, f"{score:.3f}", f"{hours[name]:.3f}")))
    return lines


def _cell(cell: Cell | None, ratio: float) -> str:
    if cell is None or not cell.trials:
        return ""
    told = f", {ratio:.2f}" if math.isfinite(ratio) else ""
    return f"{cell.reached} of {cell.trials}{told}"


if __name__ == "__main__":
    main()
