"""Workloads without a target: each submission's metric within the same budget."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from scoring.ground.words import Goal, is_reference

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Standing:
    """A submission on a workload that has no target.

    Attributes:
        submission: its name.
        framework: torch or jax.
        value: the median over studies of the metric's best value within the budget, which is the
            best of a study's trials; a study that has none is the worst of all, and the median of
            half of these or more is NaN.
        study_values: those of every study.
        is_reference: whether it is a reference and no competitor.
    """

    submission: str
    framework: str
    value: float
    study_values: tuple[float, ...]
    is_reference: bool


@dataclasses.dataclass(frozen=True)
class EqualBudget:
    """A workload that does not count towards scores, and its submissions, best first."""

    workload: str
    metric: str
    goal: Goal
    standings: tuple[Standing, ...]


def at_equal_budget(trials: pd.DataFrame) -> list[EqualBudget]:
    """The races among a table's trials that had no target; see `scoring.frame.load`."""
    # Planned trials without a record have no target either; another's tells whose race it was.
    races = trials["workload"].isin(trials.loc[without_target(trials), "workload"])
    rows = trials[races & trials["target"].isna()]
    return [_race(str(workload), own) for workload, own in rows.groupby("workload")]


def without_target(trials: pd.DataFrame) -> pd.Series[bool]:
    """Which trials had no target."""
    return trials["target"].isna() & (trials["path"] != "")


def _race(workload: str, rows: pd.DataFrame) -> EqualBudget:
    first = rows[rows["path"] != ""].iloc[0]
    goal: Goal = first["goal"]
    least = goal == "min"
    standings = []
    for name, own in rows.groupby("submission"):
        best = own.groupby("study")["best"]
        studies = (best.min() if least else best.max()).sort_index()
        # Halved: the sum of two may be beyond the largest number.
        middle = 2.0 * float((studies.fillna(math.inf if least else -math.inf) / 2.0).median())
        standings.append(
            Standing(
                submission=str(name),
                framework=str(own["framework"].iloc[0]),
                value=middle if math.isfinite(middle) else math.nan,
                study_values=tuple(map(float, studies)),
                is_reference=is_reference(str(name)),
            )
        )
    sign = 1 if least else -1
    standings.sort(key=lambda one: (math.isnan(one.value), sign * one.value))
    return EqualBudget(workload, str(first["metric"]), goal, tuple(standings))
