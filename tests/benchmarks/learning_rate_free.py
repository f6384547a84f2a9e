"""The question of "How far away are truly hyperparameter-free learning algorithms?" as a table.

    python -m tests.benchmarks.learning_rate_free RUN.. [--stated RUN..] [--calibrated DIR..]

RUN are runs of the suite `learning-rate-free`, whole or in parts (`-s NAME -w ID`); behind
`--stated`, of a copy of it that states points. DIR are folders of `gradathlon calibrate`, of which
the best finalist's fresh seeds count. Prints Markdown: how many studies of each method met each
target and its median steps to it in those of the tuned reference, which ship with the target; the
score that these ratios make; and the processor time of its trials, those of its calibration
included. With `--within R` a hit later than R times the reference's is a miss, so that trials of
different budgets can stand side by side.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

import workloads
from scoring import run_file
from scoring.frame import load
from scoring.gradathlon import mean_score
from scoring.ground.ends import UNFINISHED
from scoring.ground.words import is_reference
from suite.text_table import markdown


@dataclasses.dataclass(frozen=True)
class Met:
    """What a method's studies on a workload came to.

    Attributes:
        reached, studies: how many met the target, and of how many.
        ratio: their median time over the reference's; infinite where most missed.
    """

    reached: int
    studies: int
    ratio: float

    def __str__(self) -> str:
        told = f", {self.ratio:.2f}" if math.isfinite(self.ratio) else ""
        return f"{self.reached} of {self.studies}{told}"


@dataclasses.dataclass(frozen=True)
class Line:
    """A method at one kind of point."""

    method: str
    point: str
    met: Mapping[str, Met]
    core_hours: float

    def score(self, ids: Sequence[str]) -> float:
        """Over all of these workloads; NaN where it was not raced on one."""
        ratios = {id: one.ratio for id, one in self.met.items()}
        return mean_score(ratios) if set(ids) == set(ratios) else math.nan


def main() -> None:
    """Print the table of both kinds of points, best score first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--stated", type=Path, nargs="*", default=[])
    parser.add_argument("--calibrated", type=Path, nargs="*", default=[])
    parser.add_argument("--within", type=float, default=math.inf)
    given = parser.parse_args()
    lines = list(at_defaults(given.runs, given.within))
    lines += [line for run in given.stated for line in at_stated(run, given.within)]
    lines += [calibrated(folder, given.within) for folder in given.calibrated]
    ids = sorted({id for line in lines for id in line.met})
    lines.sort(key=lambda line: (-_number(line.score(ids)), line.method))
    rows = [
        (
            line.method,
            line.point,
            *(str(line.met.get(id, "")) for id in ids),
            "" if math.isnan(line.score(ids)) else f"{line.score(ids):.3f}",
            f"{line.core_hours:.3f}",
        )
        for line in lines
    ]
    print(markdown(("method", "point", *ids, "score", "core-hours"), rows))


def at_defaults(runs: Sequence[Path], within: float = math.inf) -> Iterator[Line]:
    """A line for each submission of the runs, of its trials that have ended."""
    trials = load(runs)
    ended = trials[trials["end"] != UNFINISHED]
    for name, own in ended.groupby("submission"):
        if not is_reference(str(name)):
            yield Line(str(name), "defaults", met(own, within), _core_hours(own))


def at_stated(run: Path, within: float = math.inf) -> Iterator[Line]:
    """As `at_defaults`; the kind of point is what the run's suite states in place of a default."""
    file = run_file.read(run)
    assert file is not None, f"{run} holds no run"
    points = file.suite.points
    for line in at_defaults([run], within):
        (point,) = points[line.method]
        words = ", ".join(f"{name} {value}" for name, value in point.items())
        yield dataclasses.replace(line, point=words)


def calibrated(folder: Path, within: float = math.inf) -> Line:
    """The best finalist of a calibration, on its fresh seeds."""
    log = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
    trials = load([folder])
    chosen = log["finalists"][0]["candidate"]
    fresh = trials[(trials["study"] > 0) & (trials["trial"] == chosen)]
    return Line(
        str(fresh["submission"].iloc[0]), "calibrated", met(fresh, within), _core_hours(trials)
    )


def met(trials: pd.DataFrame, within: float = math.inf, clock: str = "steps") -> dict[str, Met]:
    """By workload, of one submission's trials, one a study; in time is `within` the reference's."""
    found = {}
    for key, here in trials.groupby("workload"):
        id = str(key)
        reference = _reference(id, str(here["framework"].iloc[0]))
        ratios = [time / reference for time in here[clock]]
        ratios = [ratio if ratio <= within else math.inf for ratio in ratios]
        reached = sum(map(math.isfinite, ratios))
        found[id] = Met(reached, len(ratios), statistics.median(ratios))
    return found


def _number(score: float) -> float:
    return -1.0 if math.isnan(score) else score


def _reference(id: str, framework: str) -> float:
    """The tuned reference's median steps to the target over fresh seeds."""
    race = workloads.get(id).race
    assert race is not None, f"{id} has no target"
    (steps,) = (one.steps for name, one in race.reference.items() if name == framework)
    return statistics.median(steps)


def _core_hours(trials: pd.DataFrame) -> float:
    return float(trials["cpu_end"].sum()) / 3600


if __name__ == "__main__":
    main()
