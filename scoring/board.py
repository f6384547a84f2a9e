"""The leaderboard, computed from the records of runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scoring import frame
from scoring.bootstrap import Studies
from scoring.equal_budget import EqualBudget, at_equal_budget
from scoring.ground.clocks import CLOCKS
from scoring.ground.words import REFERENCES, Clock, is_reference
from scoring.notes import completeness_remarks
from scoring.profiles import TAU_MAX, corners
from scoring.protocols import Judged, Options, find, frameworks
from scoring.provenance import Provenance, provenance
from scoring.ranking import Score, chances_of_best
from scoring.times import check_clock

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Cell:
    """A submission on a workload.

    Attributes:
        workload: its id.
        time: median over studies of the time-to-result, on the board's clock; infinite if missed,
            NaN if met on machines of several kinds, whose seconds have no common median.
        ratio: `time` to the yardstick's; infinite also where the protocol voids the time.
        study_times: time-to-result of every study, in the order of studies.
        study_ratios: the same to each study's own yardstick; empty where there is none.
        reached: trials that met the target.
        trials: all its trials; 0 where it did not run.
    """

    workload: str
    time: float
    ratio: float
    study_times: tuple[float, ...]
    reached: int
    trials: int
    study_ratios: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Row:
    """A submission on the board.

    Attributes:
        rank_low: 1 + the number of significantly better entries; 0 for a reference.
        rank_high: the number of entries not significantly worse, including itself.
        p_best: the share of resampled boards on which it is best; None where that is unknown or
            rests on too few studies.
        submission: its name.
        framework: torch or jax.
        score: as its protocol defines it; higher is better.
        interval: central 95 % of the score over resampled studies; None where unknown.
        cells: by workload, in the board's order.
        is_reference: whether it is the protocol's reference and no competitor.
    """

    rank_low: int
    rank_high: int
    p_best: float | None
    submission: str
    framework: str
    score: float
    interval: tuple[float, float] | None
    cells: Mapping[str, Cell]
    is_reference: bool


@dataclasses.dataclass(frozen=True)
class Board:
    """A leaderboard: rows best first, the workloads that count, and notes.

    `clock` is what the times are readings of: seconds for wall and cpu, steps for steps.
    """

    protocol: str
    clock: Clock
    workloads: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    tau_max: float = TAU_MAX
    at_equal_budget: tuple[EqualBudget, ...] = ()
    """Workloads without a target, which count for no score."""
    on_several_machines: frozenset[str] = frozenset()
    """Workloads that were raced on machines of several kinds, whose seconds are not compared."""
    provenance: Provenance | None = None
    """Where it comes from; None for a board that is not of records."""
    scores: Mapping[str, Score] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    """By submission, with resampled and per-study scores; not shown."""

    def profile(self, row: Row) -> list[tuple[float, float]]:
        """Corners (tau, rho) of the row's performance profile, a step function on [1, tau_max].

        Ratios below 1 count from tau = 1 on, so that the profile's mean height is the score only
        where no ratio is below 1.
        """
        return corners((cell.ratio for cell in row.cells.values()), self.tau_max)


def compute(
    runs: Sequence[Path],
    **options: Any,
) -> Board:
    """The leaderboard of all trials of some runs, by the options of `compute_from`.

    Raises:
        RecordError: records that cannot be read, or cannot be compared.
    """
    flags = {name: options.get(name, False) for name in ("held_out", "across_frameworks")}
    find(options.get("protocol", "gradathlon"), **flags)  # before thousands of files are read
    return compute_from(frame.gather(runs), **options)


def compute_from(
    gathered: frame.Gathered,
    *,
    protocol: str = "gradathlon",
    clock: Clock | None = None,
    across_frameworks: bool = False,
    mix_hardware: bool = False,
    held_out: bool = False,
) -> Board:
    """The leaderboard of trials already read.

    Args:
        gathered: what `scoring.frame.gather` made of the runs.
        protocol: "gradathlon" or "algoperf".
        clock: what counts as time; None: the clock that the runs were raced on.
        across_frameworks: compare times to the fastest framework's reference, not to the
            reference of the submission's own framework (gradathlon only).
        mix_hardware: compare seconds even when they come from different hardware.
        held_out: a workload `X+variant` is AlgoPerf's held-out variant of `X` (algoperf only).

    Raises:
        RecordError: records that cannot be read, cannot be compared, or were not timed on the
            clock.
    """
    way = find(protocol, held_out=held_out, across_frameworks=across_frameworks)
    trials = gathered.trials
    clock = clock or frame.official_clock(trials)
    check_clock(gathered.records, clock)
    if CLOCKS[clock].of_hardware and not mix_hardware:
        frame.check_hardware(trials, together=not way.by_run)
    trials, notes = _as_planned(gathered, held_out)
    # A raw protocol's own rules know of no uncertainty.
    trials["time"] = trials[f"{clock}_hit" if way.raw else clock]
    trials["gap"] = trials[f"{clock}_gap"]
    beside = tuple(at_equal_budget(trials))
    # With its trials go the planned ones that have no record.
    trials = trials[~trials["workload"].isin([race.workload for race in beside])]
    flags = {
        "protocol": protocol,
        "clock": clock,
        "across_frameworks": across_frameworks,
        "mix_hardware": mix_hardware,
        "held_out": held_out,
    }
    sources = provenance(gathered, flags)
    if trials.empty:
        empty = Board(protocol, clock, (), (), tuple(notes), at_equal_budget=beside)
        return dataclasses.replace(empty, provenance=sources)
    options = Options(clock, across_frameworks, held_out, mix_hardware, gathered.shipped)
    judged = way.build(trials, options)
    judged = dataclasses.replace(judged, notes=[*notes, *judged.notes])
    board = _board(protocol, clock, trials, judged)
    if CLOCKS[clock].of_hardware and not mix_hardware:
        board = _without_common_seconds(board, trials)
    return dataclasses.replace(board, at_equal_budget=beside, provenance=sources)


def _as_planned(gathered: frame.Gathered, held_out: bool) -> tuple[pd.DataFrame, list[str]]:
    """The trials that count, planned ones without a record as missed, and remarks on the others."""
    import pandas as pd

    trials, missing = gathered.trials, gathered.missing
    if not missing.empty:
        trials = pd.concat([trials, missing], ignore_index=True)
    notes = list(completeness_remarks(trials, gathered.refused))
    notes += [f"excluded with all its trials: {line}" for line in gathered.apart]
    # A reference is compared to by what it did; what it lacks is only told.
    lacking = trials["submission"].isin(REFERENCES) & (trials["path"] == "")
    trials = trials[~lacking]
    # What decides over planned workloads counts with them, though it was drawn later.
    bases = trials["workload"].str.split("+").str[0] if held_out else trials["workload"]
    counted = trials["workload"].isin(gathered.planned) | bases.isin(gathered.planned)
    for name in sorted(trials.loc[~counted, "workload"].unique()):
        notes.append(f"{name} was not planned and does not count towards scores")
    trials = trials[counted].reset_index(drop=True)
    return trials.assign(study=trials["number"]), notes


def _board(protocol: str, clock: Clock, trials: pd.DataFrame, judged: Judged) -> Board:
    scores, framework = judged.scores, frameworks(trials)
    order = sorted(scores, key=lambda name: (-scores[name].score, name))
    racing = [name for name in order if not is_reference(name)]
    competing = [scores[name] for name in racing]
    rank = dict(zip(racing, judged.ranked(competing), strict=True))
    # One alone is the best of all in every draw: that tells nothing.
    chance = dict(zip(racing, chances_of_best(competing), strict=True)) if racing[1:] else {}
    met = trials["time"].lt(math.inf).groupby([trials["submission"], trials["workload"]])
    tried = {key: (int(sum), int(size)) for key, sum, size in met.agg(["sum", "size"]).itertuples()}
    rows = [
        Row(
            rank_low=rank.get(name, (0, 0))[0],
            rank_high=rank.get(name, (0, 0))[1],
            p_best=chance.get(name),
            submission=name,
            framework=framework[name],
            score=scores[name].score,
            interval=scores[name].interval,
            cells=_cells(name, judged.times[name], scores[name], tried),
            is_reference=name not in rank,
        )
        for name in order
    ]
    workloads = tuple(next(iter(scores.values())).ratios)
    return Board(protocol, clock, workloads, tuple(rows), tuple(judged.notes), scores=scores)


def _without_common_seconds(board: Board, trials: pd.DataFrame) -> Board:
    """The board without times from several kinds of machine; their ratios stay."""
    raced = trials[trials["path"] != ""]
    kinds = raced.groupby(["submission", "workload"])["digest"].nunique()
    kinds_of_all = raced.groupby("workload")["digest"].nunique()
    several = frozenset(map(str, kinds_of_all.index[kinds_of_all > 1]))
    board = dataclasses.replace(board, on_several_machines=several)
    rows, names = [], []
    for row in board.rows:
        cells = {
            id: dataclasses.replace(cell, time=math.nan)
            for id, cell in row.cells.items()
            if kinds.get((row.submission, id), 0) > 1 and math.isfinite(cell.time)
        }
        names += [row.submission] * bool(cells)
        rows.append(dataclasses.replace(row, cells={**row.cells, **cells}))
    if not names:
        return board
    note = (
        "raced on several kinds of machine, whose seconds have no common median: "
        f"{', '.join(names)}; ratios to each machine's own reference (×) are shown instead"
    )
    return dataclasses.replace(board, rows=tuple(rows), notes=(*board.notes, note))


def _cells(
    name: str,
    times: Mapping[str, Studies],
    score: Score,
    tried: Mapping[tuple[str, str], tuple[int, int]],
) -> dict[str, Cell]:
    cells = {}
    for workload, ratio in score.ratios.items():
        divisors = score.divisors.get(workload, {})
        reached, trials = tried.get((name, workload), (0, 0))
        studies = times.get(workload, {})
        values = tuple(studies[study] for study in sorted(studies))
        cells[workload] = Cell(
            workload=workload,
            time=float(np.median(values)) if values else math.inf,
            ratio=float(ratio),
            study_times=values,
            reached=reached,
            trials=trials,
            study_ratios=tuple(studies[study] / divisors[study] for study in sorted(divisors)),
        )
    return cells
