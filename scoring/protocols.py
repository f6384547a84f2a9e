"""The scoring protocols: one table, with what each is, what it takes and how it scores.

To add a protocol: a function that turns trials into `Judged`, and its row in `PROTOCOLS`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from scoring import algoperf, gradathlon
from scoring.bootstrap import FEW, Resampler
from scoring.ground.errors import nearest
from scoring.ground.words import REFERENCES, Clock, reference_of
from scoring.notes import remarks, run_remarks, yardstick_remarks
from scoring.ranking import Score, ordered, rank_sets
from scoring.records import RecordError
from scoring.yardsticks import (
    Shipped,
    Yardsticks,
    data_remarks,
    difference_remarks,
    without_yardstick,
    yardsticks,
)

if TYPE_CHECKING:
    import pandas as pd

Times: TypeAlias = dict[str, dict[str, dict[int, float]]]
"""Submission, workload, study: the study's time-to-result."""


@dataclasses.dataclass(frozen=True)
class Judged:
    """A protocol's result: the times of studies, scores, notes and ranks."""

    times: Times
    scores: Mapping[str, Score]
    notes: Sequence[str]
    ranked: Callable[[Sequence[Score]], list[tuple[int, int]]] = rank_sets


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of a board besides its protocol; each protocol names those it takes."""

    clock: Clock
    across_frameworks: bool = False
    held_out: bool = False
    mix_hardware: bool = False
    shipped: Shipped = Shipped()  # noqa: RUF009 - frozen


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One way to score.

    Attributes:
        name: the word of the command line.
        build: scores trials, whose column `time` is on the chosen clock.
        takes: those of the options that mean something to it.
        help: half a sentence for the command line.
        reading: how to read its score, for a page; `{yardstick}` stands for what is compared to.
        by_run: whether times are compared within runs only, so that hardware may differ between.
        raw: whether a time is the clock at the evaluation that met the target, and not where the
            metric crossed it.
    """

    name: str
    build: Callable[[pd.DataFrame, Options], Judged]
    takes: tuple[str, ...]
    help: str
    reading: str
    by_run: bool = False
    raw: bool = False


def find(name: str, **options: bool) -> Protocol:
    """The protocol of that name.

    Raises:
        RecordError: there is none, or an option was given that belongs to another.
    """
    if name not in PROTOCOLS:
        names = " or ".join(PROTOCOLS)
        hint = nearest(name, PROTOCOLS)
        raise RecordError(f"unknown scoring protocol {name!r}: expected {names}{hint}")
    for option, is_set in options.items():
        if is_set and option not in PROTOCOLS[name].takes:
            owner = next(other for other in PROTOCOLS.values() if option in other.takes)
            words = option.replace("_", "-")
            raise RecordError(
                f"--{words} belongs to the {owner.name} protocol: --protocol {owner.name}"
            )
    return PROTOCOLS[name]


def _gradathlon(trials: pd.DataFrame, options: Options) -> Judged:
    references = yardsticks(trials, options.clock, options.shipped, mixed=options.mix_hardware)
    trials, void = _comparable(trials, references, options)
    fastest = trials.loc[trials.groupby(["submission", "workload", "study"])["time"].idxmin()]
    times, raced_in = _table(fastest), _table(fastest, "run")
    workloads = sorted(trials["workload"].unique())
    resampler = Resampler()
    tries, grains = _tries(trials), _grains(trials)
    scores = {}
    for name, framework in frameworks(trials).items():
        compared_to = None if options.across_frameworks else framework
        compared = {
            id: {
                study: references.of(run, id, compared_to)
                for study, run in raced_in[name][id].items()
            }
            for id, own in times[name].items()
            if min(own.values()) < math.inf
        }
        entry = gradathlon.Entry(
            times[name],
            {id: next(iter(by_study.values())) for id, by_study in compared.items()},
            tries.get(name, {}),
            grains.get(name, {}),
            elsewhere=compared,
        )
        scores[name] = gradathlon.score(entry, workloads, resampler)
    notes = [
        *void,
        *remarks(trials, options.clock),
        *yardstick_remarks(trials),
        *data_remarks(options.shipped, options.clock),
        *difference_remarks(trials, options.clock, options.shipped),
        *run_remarks(trials, references),
    ]
    if any(not score.redrawn.size for score in scores.values()):
        notes.append("a score from a single study has no interval and no rank")
    fewest = min(len(studies) for own in times.values() for studies in own.values())
    if 1 < fewest < FEW:
        chance = " and P(best) is not shown" if len(set(scores) - set(REFERENCES)) > 1 else ""
        notes.append(f"intervals from {fewest} studies are too narrow{chance}: run {FEW} or more")
    return Judged(times, scores, notes)


def _comparable(
    trials: pd.DataFrame, references: Yardsticks, options: Options
) -> tuple[pd.DataFrame, list[str]]:
    """The trials that there is a measure for, and a line each on the other workloads.

    Raises:
        RecordError: there is none for any.
    """
    lacking = without_yardstick(
        references, options.shipped, options.clock, across_frameworks=options.across_frameworks
    )
    void = {id: lacking[id] for id in trials["workload"].unique() if id in lacking}
    left = trials[~trials["workload"].isin(list(void))]
    if left.empty:
        raise RecordError("; ".join(void.values()))
    return left, [f"excluded with all its trials: {line}" for line in void.values()]


def _algoperf(trials: pd.DataFrame, options: Options) -> Judged:
    pairs = _held_out(trials) if options.held_out else {}
    ratios, scores = algoperf.leaderboard(algoperf.median_times(trials), pairs)
    notes = remarks(trials, options.clock)
    notes += [f"{base} counts only where {variant} is also met" for base, variant in pairs.items()]
    notes += _tie_notes(trials, pairs, scores)
    notes.append("the algoperf protocol has no intervals; any submission can change others' scores")
    times = _table(algoperf.earliest_evaluation(trials))
    judged = {name: Score(own, scores[name]) for name, own in ratios.items()}
    return Judged(times, judged, notes, ordered)


def _tie_notes(
    trials: pd.DataFrame, pairs: Mapping[str, str], scores: Mapping[str, float]
) -> list[str]:
    """How scores depend on which trial of a study counts when several hit at one evaluation."""
    ties: tuple[algoperf.Tie, ...] = ("fastest", "slowest")
    others = [algoperf.leaderboard(algoperf.median_times(trials, tie), pairs)[1] for tie in ties]
    moved = [
        f"{name} {fast:.3f} or {slow:.3f}"
        for name, own in scores.items()
        for fast, slow in [[other[name] for other in others]]
        if round(fast, 3) != round(own, 3) or round(slow, 3) != round(own, 3)
    ]
    if not moved:
        return []
    return [
        "of trials that hit at the same evaluation, the lowest-numbered counts; the published code "
        "takes the one that its file system lists first. With the fastest or the slowest: "
        f"{', '.join(moved)}"
    ]


def _tries(trials: pd.DataFrame) -> dict[str, dict[str, float]]:
    """By submission and workload: its trials a study, for each of its framework's reference's."""
    sizes = trials.groupby(["submission", "workload", "study"]).size()
    largest = sizes.groupby(["submission", "workload"]).max()
    counts = {
        (str(name), str(id)): int(count)
        for name, id, count in largest.reset_index(name="count").itertuples(index=False)
    }
    tries: dict[str, dict[str, float]] = {}
    for name, framework in frameworks(trials).items():
        for id in {id for other, id in counts if other == name}:
            base = counts.get((reference_of(framework), id), 1)
            tries.setdefault(name, {})[id] = counts[name, id] / base
    return tries


def _grains(trials: pd.DataFrame) -> dict[str, dict[str, float]]:
    """By submission and workload: how long before its times the target may have been met.

    The mean over studies, of each its fastest trial's, whose time is the study's.
    """
    met = trials[trials["time"] < math.inf]
    met = met.loc[met.groupby(["submission", "workload", "study"])["time"].idxmin()]
    grains: dict[str, dict[str, float]] = {}
    means = met.groupby(["submission", "workload"], as_index=False)["gap"].mean()
    for name, id, grain in means.itertuples(index=False):
        grains.setdefault(str(name), {})[str(id)] = float(grain)
    return grains


def _table(studies: pd.DataFrame, what: str = "time") -> dict[str, dict[str, dict[int, Any]]]:
    table: dict[str, dict[str, dict[int, Any]]] = {}
    columns = (studies[name].tolist() for name in ("submission", "workload", "study", what))
    for submission, workload, study, time in zip(*columns, strict=True):
        table.setdefault(submission, {}).setdefault(workload, {})[study] = time
    return table


def frameworks(trials: pd.DataFrame) -> dict[str, str]:
    """The framework of every submission."""
    return dict(trials.drop_duplicates("submission")[["submission", "framework"]].to_numpy())


def _held_out(trials: pd.DataFrame) -> dict[str, str]:
    workloads = sorted(trials["workload"].unique())
    pairs: dict[str, str] = {}
    for variant in workloads:
        base, plus, _ = variant.partition("+")
        if not plus:
            continue
        if base not in workloads:
            raise RecordError(f"{variant} is a held-out variant of {base}, which has no trials")
        if base in pairs:
            raise RecordError(
                f"{base} has two held-out variants, {pairs[base]} and {variant}: score runs with "
                "only one of them"
            )
        pairs[base] = variant
    return pairs


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="gradathlon",
            build=_gradathlon,
            by_run=True,
            takes=("across_frameworks",),
            help="time compared to the tuned reference of the same framework, with intervals",
            reading=(
                "How to read the score: 1 means as fast to the target as the yardstick "
                "({yardstick}), averaged over workloads (variants share one workload's weight). "
                "Higher is faster, up to 4/3 for reaching every target instantly; a workload "
                "counts 0 if its target is missed or takes four times the yardstick's time or more."
            ),
        ),
        Protocol(
            name="algoperf",
            build=_algoperf,
            raw=True,
            takes=("held_out",),
            help="compared to the best submission, as on the published leaderboards",
            reading=(
                "How to read the score: it is the area under the submission's performance profile. "
                "1 means fastest on every workload; a workload counts 0 if its target is missed or "
                "takes four times the fastest submission's time (the yardstick) or more."
            ),
        ),
    )
}
"""Every protocol by its name; the first is the default."""
