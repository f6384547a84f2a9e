"""The leaderboard: computed from the records of runs, never typed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from scoring import algoperf, frame, gradathlon
from scoring.bootstrap import FEW, Resampler, Studies
from scoring.ground.words import Clock
from scoring.notes import remarks, yardstick_remarks
from scoring.profiles import TAU_MAX, corners
from scoring.ranking import Score, ranks
from scoring.records import REFERENCE, RecordError

if TYPE_CHECKING:
    import pandas as pd

Protocol = Literal["gradathlon", "algoperf"]
Times: TypeAlias = dict[str, dict[str, dict[int, float]]]
"""Submission, workload, study: the study's time-to-result."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """A submission on a workload.

    Attributes:
        workload: its id.
        time: median over studies of the time-to-result, on the board's clock; infinite if missed.
        ratio: `time` to the yardstick's; infinite also where the protocol voids the time.
        study_times: time-to-result of every study, in the order of studies.
        reached: trials that met the target.
        trials: all its trials; 0 where it did not run.
    """

    workload: str
    time: float
    ratio: float
    study_times: tuple[float, ...]
    reached: int
    trials: int


@dataclasses.dataclass(frozen=True)
class Row:
    """A submission on the board.

    Attributes:
        rank: from 1; shared by rows that the studies cannot tell apart; 0 for a reference.
        tied: whether another row shares the rank.
        submission: its name.
        framework: torch or jax.
        score: as its protocol defines it; higher is better.
        interval: central 95 % of the score over redrawn studies; None where that is not known.
        cells: by workload, in the board's order.
        is_reference: whether it is the protocol's reference and no competitor.
    """

    rank: int
    tied: bool
    submission: str
    framework: str
    score: float
    interval: tuple[float, float] | None
    cells: Mapping[str, Cell]
    is_reference: bool


@dataclasses.dataclass(frozen=True)
class Board:
    """A leaderboard: rows best first, the workloads that count, and remarks for beneath it.

    `clock` is what the times are readings of: seconds for wall and cpu, steps for steps.
    """

    protocol: str
    clock: Clock
    workloads: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    tau_max: float = TAU_MAX

    def profile(self, row: Row) -> list[tuple[float, float]]:
        """Corners (tau, rho) of the row's performance profile, a step function on [1, tau_max].

        Ratios below 1 count from tau = 1 on, so that the profile's mean height is the score only
        where no ratio is below 1.
        """
        return corners((cell.ratio for cell in row.cells.values()), self.tau_max)


def compute(
    runs: Sequence[Path],
    *,
    protocol: str = "gradathlon",
    clock: Clock | None = None,
    across_frameworks: bool = False,
    mix_hardware: bool = False,
    held_out: bool = False,
) -> Board:
    """The leaderboard of all trials of some runs.

    Args:
        runs: run folders.
        protocol: "gradathlon" or "algoperf".
        clock: what counts as time; None: the clock that the runs were raced on.
        across_frameworks: compare times to the fastest framework's reference, not to the
            reference of the submission's own framework (gradathlon only).
        mix_hardware: compare seconds even when they come from different hardware.
        held_out: a workload `X+variant` is AlgoPerf's held-out variant of `X` (algoperf only).

    Raises:
        RecordError: records that cannot be read, or cannot be compared.
    """
    if protocol not in get_args(Protocol):
        known = " or ".join(get_args(Protocol))
        raise RecordError(f"unknown scoring protocol {protocol!r}: expected {known}")
    if held_out and protocol != "algoperf":
        raise RecordError("held-out workloads belong to the algoperf protocol: --protocol algoperf")
    trials = frame.load(runs)
    frame.check_comparable(trials)
    clock = clock or frame.official_clock(trials)
    if clock != "steps" and not mix_hardware:
        frame.check_hardware(trials)
    trials["time"] = trials[clock]
    if protocol == "algoperf":
        return _algoperf(trials, clock, held_out)
    return _gradathlon(trials, clock, across_frameworks)


def _gradathlon(trials: pd.DataFrame, clock: Clock, across_frameworks: bool) -> Board:
    fastest = trials.groupby(["submission", "workload", "study"])["time"].min().reset_index()
    times = _table(fastest)
    workloads = sorted(trials["workload"].unique())
    references = gradathlon.references(trials, clock)
    resampler = Resampler()
    scores = {}
    for name, framework in _frameworks(trials).items():
        compared_to = None if across_frameworks else framework
        yardstick = gradathlon.yardstick(references, list(times[name]), compared_to)
        scores[name] = gradathlon.score(times[name], yardstick, workloads, resampler)
    notes = [*remarks(trials, clock), *yardstick_remarks(trials)]
    if any(not score.redrawn.size for score in scores.values()):
        notes.append("a score that rests on a single study has no interval")
    fewest = min(len(studies) for own in times.values() for studies in own.values())
    if 1 < fewest < FEW:
        notes.append(f"intervals that rest on {fewest} studies are too narrow: run {FEW} or more")
    return _board("gradathlon", clock, trials, times, scores, notes)


def _algoperf(trials: pd.DataFrame, clock: Clock, held_out: bool) -> Board:
    chosen = algoperf.earliest_evaluation(trials)
    medians = chosen.groupby(["submission", "workload"])["time"].median().unstack()
    pairs = _held_out(trials) if held_out else {}
    by_name = algoperf.ratios(medians, pairs).to_dict("index")
    scores = {
        str(name): Score(
            {str(workload): r for workload, r in row.items()}, algoperf.score(row.values())
        )
        for name, row in by_name.items()
    }
    notes = remarks(trials, clock)
    notes += [f"{base} counts only where {variant} is met too" for base, variant in pairs.items()]
    notes.append("the algoperf protocol has no intervals; every entry can move the others' scores")
    return _board("algoperf", clock, trials, _table(chosen), scores, notes)


def _board(
    protocol: Protocol,
    clock: Clock,
    trials: pd.DataFrame,
    times: Times,
    scores: Mapping[str, Score],
    notes: Sequence[str],
) -> Board:
    frameworks = _frameworks(trials)
    order = sorted(scores, key=lambda name: (-scores[name].score, name))
    racing = [name for name in order if not name.startswith(REFERENCE)]
    given = ranks([scores[name] for name in racing])
    rank = dict(zip(racing, given, strict=True))
    rows = [
        Row(
            rank=rank.get(name, 0),
            tied=given.count(rank.get(name, 0)) > 1,
            submission=name,
            framework=frameworks[name],
            score=scores[name].score,
            interval=scores[name].interval,
            cells=_cells(trials, name, times[name], scores[name].ratios),
            is_reference=name not in rank,
        )
        for name in order
    ]
    workloads = tuple(next(iter(scores.values())).ratios)
    return Board(protocol, clock, workloads, tuple(rows), tuple(notes))


def _cells(
    trials: pd.DataFrame, name: str, times: Mapping[str, Studies], ratios: Mapping[str, float]
) -> dict[str, Cell]:
    cells = {}
    for workload, ratio in ratios.items():
        tried = trials[(trials["submission"] == name) & (trials["workload"] == workload)]
        studies = times.get(workload, {})
        values = tuple(studies[study] for study in sorted(studies))
        cells[workload] = Cell(
            workload=workload,
            time=float(np.median(values)) if values else math.inf,
            ratio=float(ratio),
            study_times=values,
            reached=int((tried["time"] < math.inf).sum()),
            trials=len(tried),
        )
    return cells


def _table(studies: pd.DataFrame) -> Times:
    table: Times = {}
    columns = (studies[name].tolist() for name in ("submission", "workload", "study", "time"))
    for submission, workload, study, time in zip(*columns, strict=True):
        table.setdefault(submission, {}).setdefault(workload, {})[study] = time
    return table


def _frameworks(trials: pd.DataFrame) -> dict[str, str]:
    return dict(trials.drop_duplicates("submission")[["submission", "framework"]].to_numpy())


def _held_out(trials: pd.DataFrame) -> dict[str, str]:
    workloads = sorted(trials["workload"].unique())
    pairs: dict[str, str] = {}
    for variant in workloads:
        base, plus, _ = variant.partition("+")
        if not plus:
            continue
        if base not in workloads:
            raise RecordError(f"{variant} is held out of {base}, of which there are no trials")
        if base in pairs:
            raise RecordError(
                f"{base} has two held-out variants, {pairs[base]} and {variant}: score runs that "
                "have one of them"
            )
        pairs[base] = variant
    return pairs
