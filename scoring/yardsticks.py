"""What entries are compared to: each run's own references, raced beside them or shipped.

A run's times are divided by its own references' before runs are merged, so that runs of many
machines add up in any order. On the paired clock the yardstick ships with the target: the
reference's steps over fresh seeds, the same on every machine that has the same data. No time is
divided by steps on other data than its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from scoring.bootstrap import Studies
from scoring.ground.clocks import CLOCKS
from scoring.ground.ends import STOPPED
from scoring.ground.words import REFERENCES, Clock, reference_of, short
from scoring.ranking import CLAIM
from scoring.records import RecordError

if TYPE_CHECKING:
    import pandas as pd

    from scoring.claims import Claims

Place = tuple[str, str, str]
"""Run, workload, framework."""


@dataclasses.dataclass(frozen=True)
class Shipped:
    """The reference's steps to the targets that runs were planned with.

    Attributes:
        steps: those that may be compared to.
        foreign: why others may not: a line on the data that they are of.
        unnoted: the workloads of whose steps no plan says on what data they were measured.
    """

    steps: Mapping[Place, Sequence[float]] = dataclasses.field(default_factory=dict)
    foreign: Mapping[Place, str] = dataclasses.field(default_factory=dict)
    unnoted: frozenset[str] = frozenset()


def shipped_with(claims: Iterable[Claims]) -> Shipped:
    """What runs were planned with, held against the data that their records say they trained on."""
    steps: dict[Place, Sequence[float]] = {}
    foreign: dict[Place, str] = {}
    unnoted = set()
    for claim in claims:
        raced_on: dict[str, set[str]] = {}
        for header in (record.header for record in claim.records if record.header.data_sha256):
            raced_on.setdefault(header.workload, set()).add(header.data_sha256)
        for id, course in claim.plan.workloads.items() if claim.plan else ():
            for framework, reference in course.references.items():
                place = (str(claim.run), id, framework)
                others = raced_on.get(id, set()) - {reference.data}
                if not reference.steps:
                    continue
                if others and reference.data:
                    foreign[place] = (
                        f"{id}: {reference_of(framework)}'s shipped steps were measured on other "
                        f"data ({short(reference.data)}) than {claim.run.name} uses "
                        f"({short(min(others))})"
                    )
                    continue
                steps[place] = reference.steps
                unnoted |= {id} if others else set()
    return Shipped(steps, foreign, frozenset(unnoted))


@dataclasses.dataclass(frozen=True)
class Yardsticks:
    """Every run's references, and the runs that one without may borrow them from."""

    found: Mapping[Place, Studies]
    kin: Mapping[str, tuple[str, ...]]

    def find(self, run: str, workload: str, framework: str | None) -> tuple[Studies, ...]:
        """As `of`, but nothing where there is no reference."""
        for lender in self.kin[run]:
            here = tuple(
                studies
                for (other, id, name), studies in self.found.items()
                if other == lender and id == workload and framework in (None, name)
            )
            if here:
                return here
        return ()

    def of(self, run: str, workload: str, framework: str | None) -> tuple[Studies, ...]:
        """What a trial of that run is compared to; with framework None, every reference's.

        Raises:
            RecordError: there is no reference for that workload.
        """
        if here := self.find(run, workload, framework):
            return here
        wanted = reference_of(framework or "*")
        raise RecordError(
            f"{workload}: no usable trial of {wanted}, which scores are relative to; race "
            f"{workload} again on this hardware with `gradathlon run`, which adds them, or "
            "score with --protocol algoperf"
        )


def yardsticks(
    trials: pd.DataFrame, clock: Clock, shipped: Shipped, *, mixed: bool = False
) -> Yardsticks:
    """The references of every run among the trials.

    Shipped steps count on the paired clock always, on the steps clock where none was raced. With
    `mixed`, a run without references may borrow those of any hardware.
    """
    studies: dict[Place, Studies] = dict(raced(trials, clock))
    for place, steps in shipped.steps.items():
        if clock == "paired" or (clock == "steps" and place not in studies):
            studies[place] = _numbered(steps)
    return Yardsticks(dict(sorted(studies.items())), _kin(trials, clock, mixed))


def raced(trials: pd.DataFrame, clock: Clock) -> Iterator[tuple[Place, Studies]]:
    """The raced references' studies, with times that can be divided by.

    A study in which the reference ran out of budget counts with the reading at which it was
    stopped: its true time is longer, so that nobody gains. A study whose trials failed, diverged
    or are unfinished is left out.
    """
    rows = trials[trials["submission"].isin(REFERENCES)]
    met = rows["time"] < np.inf
    rows = rows.assign(time=rows["time"].where(met, rows[f"{clock}_end"]), met=met)
    rows = rows[rows["met"] | rows["end"].isin(STOPPED)]
    for key, cell in rows.groupby(["run", "workload", "framework"]):
        run, workload, framework = map(str, key)
        studies: dict[int, float] = {}
        for study in cell["study"].unique():
            tried = cell[cell["study"] == study]
            times = tried.loc[tried["met"], "time"]
            studies[int(study)] = float(tried["time"].max() if times.empty else times.min())
        if min(studies.values()) > 0:
            yield (run, workload, framework), studies


def difference_remarks(trials: pd.DataFrame, clock: Clock, shipped: Shipped) -> Iterator[str]:
    """Whether references that were raced differ from the shipped ones, by rank-sum tests."""
    if clock != "paired":
        return
    compared = [(place, list(own.values())) for place, own in raced(trials, clock)]
    compared = [(place, own) for place, own in compared if place in shipped.steps and len(own) > 1]
    if not compared:
        return
    from scipy import stats

    surely = 0
    for (_, workload, framework), own in compared:
        reference = shipped.steps[(_, workload, framework)]
        p = float(stats.mannwhitneyu(own, list(reference)).pvalue)
        if p <= CLAIM / len(compared):
            surely += 1
            yield (
                f"{reference_of(framework)} on {workload} took {np.median(own):,.0f} reference "
                f"steps here and {np.median(reference):,.0f} as shipped (medians; p = {p:.2g}): "
                "scores are relative to the shipped ones"
            )
    if not surely:
        yield (
            f"the {len(compared)} references raced (one per workload and framework) do not differ "
            "significantly from the shipped ones, which scores are relative to"
        )


def without_yardstick(
    references: Yardsticks, shipped: Shipped, clock: Clock, *, across_frameworks: bool
) -> Mapping[str, str]:
    """By workload, why its trials are compared to nothing: all there is are steps on other data."""
    if CLOCKS[clock].of_hardware:
        return {}
    return {
        place[1]: f"{reason}, and no reference was raced; race again with --race-reference"
        for place, reason in shipped.foreign.items()
        if place[0] in references.kin
        and not references.find(*place[:2], None if across_frameworks else place[2])
    }


def data_remarks(shipped: Shipped, clock: Clock) -> Iterator[str]:
    """Notes on shipped steps in use whose data were not recorded."""
    if shipped.unnoted and not CLOCKS[clock].of_hardware:
        names = ", ".join(sorted(shipped.unnoted))
        yield f"the data behind the shipped reference steps were not recorded: {names}"


def _numbered(steps: Sequence[float]) -> Studies:
    # Numbers that no study of a run has: these seeds are paired with nobody's.
    return {1_000_000 + place: float(count) for place, count in enumerate(steps)}


def _kin(trials: pd.DataFrame, clock: Clock, mixed: bool) -> dict[str, tuple[str, ...]]:
    """By run: itself, then the others whose references may stand in for its own."""
    digests = {str(run): set(rows["digest"]) for run, rows in trials.groupby("run")}
    anyone = mixed or not CLOCKS[clock].of_hardware
    return {
        run: (
            run,
            *(
                other
                for other in sorted(digests)
                if other != run and (anyone or digests[other] & own)
            ),
        )
        for run, own in digests.items()
    }
