"""The `algoperf` protocol: scores as on the published AlgoPerf leaderboards, bit for bit.

Times are divided by the best entry's, so that adding or dropping an entry can change the others'
scores. Dahl et al. 2023, "Benchmarking Neural Network Training Algorithms", with the choices of
the code that made the leaderboards where they differ from the paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from scoring.profiles import TAU_MAX

if TYPE_CHECKING:
    import pandas as pd


Tie = Literal["first", "fastest", "slowest"]
"""Which of the trials of a study counts that hit at the same evaluation."""


def earliest_evaluation(trials: pd.DataFrame, tie: Tie = "first") -> pd.DataFrame:
    """AlgoPerf's choice of each study's trial: the one that hit at the smallest evaluation index.

    Not the smallest time: that is what the published code does. A study none of whose trials hit
    is infinite.

    Args:
        trials: columns submission, workload, study, `evaluation` (index of the first hit; missing
            or negative: never) and `time`, a row a trial.
        tie: which of equal indices; the published code takes the first row.

    Returns:
        Columns submission, workload, study, time; a row a study.
    """
    index = trials["evaluation"].astype(float)
    order = trials.assign(evaluation=index.where(index >= 0, math.inf))
    hits = order["evaluation"] < math.inf
    order["time"] = order["time"].where(hits, math.inf)
    if tie != "first":
        order = order.sort_values("time", ascending=tie == "fastest", kind="stable")
    chosen = order.sort_values("evaluation", kind="stable").drop_duplicates(
        ["submission", "workload", "study"]
    )
    return chosen[["submission", "workload", "study", "time"]]


def median_times(trials: pd.DataFrame, tie: Tie = "first") -> pd.DataFrame:
    """The median over studies of every submission (a row) on every workload (a column)."""
    chosen = earliest_evaluation(trials, tie)
    return chosen.groupby(["submission", "workload"])["time"].median().unstack()


def leaderboard(
    times: pd.DataFrame, held_out: Mapping[str, str]
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """By submission its ratios by workload, and its score, from median times."""
    by_name = {
        str(name): {str(workload): float(r) for workload, r in row.items()}
        for name, row in ratios(times, held_out).to_dict("index").items()
    }
    return by_name, {name: score(row.values()) for name, row in by_name.items()}


def ratios(
    times: pd.DataFrame, held_out: Mapping[str, str] | None = None, tau_max: float = TAU_MAX
) -> pd.DataFrame:
    """AlgoPerf's ratios from the median times of every submission on every workload.

    A time above `tau_max` times the column's best is a miss. With held-out workloads (version 0.5
    of the benchmark; version 0.6 has none), a submission must meet both targets: a base workload
    counts only where its held-out variant is met within `tau_max` times that column's best, and
    the other way round. Ratios are then taken to the best of what is left in the column.

    Args:
        times: one row a submission, one column a workload; infinite or NaN where missed.
        held_out: base workload to its held-out variant.
        tau_max: the cut.

    Returns:
        One row a submission, one column a base workload; infinite where missed.
    """
    pairs = dict(held_out or {})
    finite = times.astype(float).fillna(math.inf)
    for base, variant in pairs.items():
        finite[variant] = finite[variant].where(finite[base] < math.inf, math.inf)
    finite = finite.where(finite <= tau_max * finite.min(), math.inf)
    for base, variant in pairs.items():
        finite[base] = finite[base].where(finite[variant] < math.inf, math.inf)
    finite = finite.drop(columns=list(pairs.values()))
    # A column that nobody met is infinite over infinite.
    return (finite / finite.min()).fillna(math.inf)


def score(ratios: Iterable[float], tau_max: float = TAU_MAX) -> float:
    """AlgoPerf's benchmark score: the profile's mean height by the trapezoid rule on 100 points."""
    every = np.asarray(list(ratios), dtype=float)
    tau = np.linspace(1.0, tau_max, 100)
    rho = np.mean(every[:, None] <= tau[None, :], axis=0)
    return float(np.trapezoid(rho, tau) / (tau_max - 1.0))
