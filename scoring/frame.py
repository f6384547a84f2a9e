"""Runs as one pandas table, one row per trial, with the checks that make times comparable."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from scoring.agreement import differing_source, divided
from scoring.claims import Claims, read_claims
from scoring.consistency import in_budget
from scoring.details import NOT_DIGESTED
from scoring.ground.clocks import CLOCKS
from scoring.ground.ends import UNFINISHED
from scoring.ground.words import Clock, Target, TrialKey, is_reference
from scoring.records import Record, RecordError, attempt_of
from scoring.times import (
    Readings,
    best_metric,
    ended_at,
    first_hit,
    has_before,
    hit_readings,
    time_to_result,
)
from scoring.yardsticks import Shipped, shipped_with

if TYPE_CHECKING:
    import pandas as pd


WITNESSED = ("witness_wall_s", "witness_cpu_s", "off_clock_share")
"""What a second process may have added to an outcome."""


@dataclasses.dataclass(frozen=True)
class Gathered:
    """The trials of some runs.

    Attributes:
        trials: the table that `load` gives.
        records: those it was made of, in the same order.
        refused: what was left out, one line each.
        missing: rows for planned trials that have no record or one that was left out, with the
            columns that a board needs; their times are infinite.
        planned: the workloads that count.
        apart: a line each on workloads whose trials cannot be compared, and are not among these.
        shipped: the reference's steps that the runs were planned with, and whose they are not.
    """

    trials: pd.DataFrame
    records: list[Record]
    refused: list[str]
    missing: pd.DataFrame
    planned: tuple[str, ...]
    apart: tuple[str, ...]
    shipped: Shipped


def load(runs: Sequence[Path]) -> pd.DataFrame:
    """Every trial of the runs, one row each, in the order workload, submission, study, trial.

    Columns:
        workload, submission, framework, ruleset, study, trial, seed, run, path: which trial.
        number: its study's among all the runs; `study`, unless several races brought that.
        clock: the official clock of its run.
        wall, cpu, steps, paired: time-to-result on each clock, between evaluations; infinite if
            never.
        wall_hit, ...: the clock at the evaluation that met the target.
        wall_gap, ...: how far before its time the target may have been met: 0 where that was read
            off the line between two evaluations, else the whole way from the one before.
        evaluation: index of the evaluation that first met the target, -1 if none did.
        wall_end, cpu_end, steps_end: the clocks when it ended.
        end, reason: how it ended; end is "unfinished" for a trial without an outcome.
        best: best value of the target's metric within the budget (NaN: none).
        metric, goal, target: what it had to reach; target is NaN in a race at equal budget.
        held: for how many evaluations it had to hold, and how closely; "" for not at all.
        budget_steps, budget_seconds, hyperparameters (JSON), source_sha256, settings_sha256,
        data_sha256.
        digest, hardware (JSON): the machine's fingerprint.
        versions (JSON): of what it ran with.
        unsteady: the trial's own flag that its step times spread out of bounds.
        attempts: how often it was begun, crashes included.
        doubt: what a second process saw of it that its own clock contradicts; "" where nothing.
        audit (JSON): what its process noted of the submission's doings.
        witness_wall_s, witness_cpu_s, off_clock_share: what that process saw; NaN for none.
        torn: a crash cut its last line off, which was left out.

    A trial found identically in two runs counts once; one that was raced in several is as many
    studies. Every run brings its own references, of which all are in the table. The order of runs
    means nothing.

    Raises:
        RecordError: not a run, no trial that can be believed or compared, a trial that two copies
            of a run tell differently, a submission of several sources, or a trial without a target.
        ConfigError: a damaged `run.yaml`.
    """
    return gather(runs).trials


def gather(runs: Sequence[Path]) -> Gathered:
    """Every trial of the runs, with what was excluded and what is missing.

    Raises:
        RecordError: as `load`.
    """
    import pandas as pd

    claims = [read_claims(run) for run in sorted(set(runs))]
    places = _Places(claims)
    merged, apart = _comparable(_merge(claims, places))
    refused = [one.reason for claim in claims for one in claim.refused]
    if not merged:
        if apart:
            raise RecordError("; ".join(apart.values()))
        why = f"; left out: {refused[0]}" if refused else ""
        raise RecordError(f"{', '.join(map(str, runs))}: no trial has been recorded yet{why}")
    order = sorted(merged)
    trials = pd.DataFrame([_row(*merged[key], places.number(key)) for key in order])
    plans = [claim.plan for claim in claims]
    planned = {id for plan in plans if plan for id in plan.workloads}
    # A run without a plan is taken at its word, but for workloads that only references raced on.
    for claim in claims:
        heads = [record.header for record in claim.records if claim.plan is None]
        racing = {head.workload for head in heads if not is_reference(head.submission)}
        planned |= racing or {head.workload for head in heads}
    return Gathered(
        trials=trials,
        records=[merged[key][1] for key in order],
        refused=refused,
        missing=_missing(claims, places, merged, trials, apart),
        planned=tuple(sorted(planned - apart.keys())),
        apart=tuple(apart.values()),
        shipped=shipped_with(claims),
    )


_Place = tuple[TrialKey, str]
"""A trial and, if several races have it, which race; "" otherwise."""
APART = 10_000
"""The offset between studies of several races with the same number: more than any run has."""


class _Places:
    """Distinguishes the trials of different races.

    Every run brings its own references. What a submission did in a study that several planned races
    have is as many studies; copies of a race are one.
    """

    def __init__(self, claims: Sequence[Claims]) -> None:
        self._runs = sorted(
            str(claim.run)
            for claim in claims
            if any(is_reference(one.header.submission) for one in claim.records)
        )
        self._races = sorted({_race(claim) for claim in claims if claim.plan})
        races: dict[tuple[str, str, int], set[str]] = {}
        for claim in claims if len(self._races) > 1 else ():
            if claim.plan:
                for key in _keys(claim):
                    races.setdefault(key[:3], set()).add(_race(claim))
        self._shared = {study for study, by in races.items() if len(by) > 1}

    def of(self, key: TrialKey, claim: Claims) -> _Place:
        """The place of a trial that a run has, or should have."""
        if is_reference(key.submission):
            return key, str(claim.run)
        return key, _race(claim) if key[:3] in self._shared else ""

    def number(self, place: _Place) -> int:
        """Of its study: every race's own."""
        key, source = place
        among = self._runs if is_reference(key.submission) else self._races
        return key.study + (APART * among.index(source) if source in among else 0)


def _race(claim: Claims) -> str:
    return f"{claim.plan.date} {claim.plan.hardware}" if claim.plan else ""


def _keys(claim: Claims) -> Iterator[TrialKey]:
    yield from (record.header.key for record in claim.records)
    yield from (one.key for one in claim.refused)
    yield from claim.missing


def _merge(claims: Sequence[Claims], places: _Places) -> dict[_Place, tuple[Path, Record]]:
    merged: dict[_Place, tuple[Path, Record]] = {}
    seen: set[str] = set()
    for claim in claims:
        for record in claim.records:
            place = places.of(record.header.key, claim)
            is_copy = record.sha256 in seen and not is_reference(record.header.submission)
            seen.add(record.sha256)
            if place not in merged and not is_copy:
                merged[place] = (claim.run, record)
            elif place in merged and record.sha256 != merged[place][1].sha256:
                raise RecordError(
                    f"{record.path}: conflicts with the record of the same trial in "
                    f"{merged[place][1].path}; "
                    f"score the runs separately, or move trials/*/{record.header.submission} out "
                    "of one"
                )
    return merged


def _comparable(
    merged: Mapping[_Place, tuple[Path, Record]],
) -> tuple[dict[_Place, tuple[Path, Record]], dict[str, str]]:
    """The trials that can be compared, and by workload why the others cannot.

    Raises:
        RecordError: a submission's trials are of several sources.
    """
    records = [record for _, record in merged.values()]
    if reason := differing_source(records):
        raise RecordError(reason)
    apart = divided(records)
    return {place: one for place, one in merged.items() if place[0].workload not in apart}, apart


def _missing(
    claims: Sequence[Claims],
    places: _Places,
    merged: Mapping[_Place, object],
    trials: pd.DataFrame,
    apart: Container[str],
) -> pd.DataFrame:
    """Rows for the planned trials without a record, and for those that were left out."""
    import pandas as pd

    first = trials.drop_duplicates("submission").set_index("submission")
    lacking: dict[_Place, tuple[str, str]] = {}
    for claim in claims:
        run = str(claim.run)
        lacking |= {places.of(one.key, claim): ("refused", run) for one in claim.refused}
        lacking |= {places.of(key, claim): ("missing", run) for key in claim.missing}
    rows = []
    there = (place for place in lacking if place[0].workload not in apart)
    for place in sorted(place for place in there if place not in merged):
        key, (end, run) = place[0], lacking[place]
        has_record = key.submission in first.index
        row = {**key._asdict(), "number": places.number(place), "end": end, "run": run}
        row |= {"evaluation": -1, "reason": "", "path": ""}
        row |= {name: first.at[key.submission, name] if has_record else ""
                for name in ("framework", "ruleset", "digest")}  # fmt: skip
        row |= dict.fromkeys([*CLOCKS, *(f"{name}_hit" for name in CLOCKS)], math.inf)
        row |= {"doubt": "", "audit": "[]"}
        row |= {f"{name}_{what}": 0.0 for name in CLOCKS for what in ("end", "gap")}
        rows.append(row | {"unsteady": False, "torn": False, "attempts": 1})
    return pd.DataFrame(rows, columns=None if rows else trials.columns)


def official_clock(trials: pd.DataFrame) -> Clock:
    """The clock on which the runs were raced.

    Raises:
        RecordError: they were raced on different ones.
    """
    clocks = sorted(trials["clock"].unique())
    if len(clocks) > 1:
        raise RecordError(
            f"the runs were raced on different clocks ({', '.join(clocks)}): "
            "choose one with --clock"
        )
    return cast(Clock, clocks[0])


def check_hardware(trials: pd.DataFrame, *, together: bool = True) -> None:
    """One hardware fingerprint among all trials, or if not `together`, among those of each run.

    Raises:
        RecordError: naming the entries that differ.
    """
    if not together:
        for _, rows in trials.groupby("run"):
            check_hardware(rows)
        return
    distinct = trials.drop_duplicates("digest")
    if len(distinct) < 2:
        return
    first, second = (json.loads(distinct.iloc[at]["hardware"]) for at in (0, 1))
    names = sorted((first.keys() | second.keys()) - set(NOT_DIGESTED))
    entries = [
        f"{name}: {_text(first.get(name))} / {_text(second.get(name))}"
        for name in names
        if first.get(name) != second.get(name)
    ]
    raise RecordError(
        f"seconds from {len(distinct)} kinds of hardware cannot be compared "
        f"({'; '.join(entries) or 'digests differ'}; {distinct.iloc[0]['path']} and "
        f"{distinct.iloc[1]['path']}): use --clock steps, or --mix-hardware to compare anyway"
    )


def _row(run: Path, record: Record, number: int) -> dict[str, object]:
    header, outcome = record.header, record.outcome
    target = _target(record)
    hit = first_hit(header, record.evaluations)
    reached, ended = time_to_result(header, record.evaluations), ended_at(record)
    at_hit = hit_readings(header, record.evaluations)
    extra = outcome.extra if outcome else {}
    return {
        "workload": header.workload,
        "submission": header.submission,
        "framework": header.framework,
        "ruleset": header.ruleset,
        "study": header.study,
        "trial": header.trial,
        "number": number,
        "seed": header.seed,
        "run": str(run),
        "path": str(record.path),
        "clock": header.clock,
        **{str(clock): reading for clock, reading in reached.items()},
        "evaluation": -1 if hit is None else hit,
        **{f"{clock}_hit": reading for clock, reading in at_hit.items()},
        **{f"{clock}_gap": gap for clock, gap in _gaps(record, hit).items()},
        **{f"{clock}_end": reading for clock, reading in ended.items()},
        "end": outcome.end if outcome else UNFINISHED,
        "reason": outcome.reason if outcome else "",
        "best": best_metric(record.evaluations[: in_budget(header, record.evaluations)], target),
        "metric": target.metric,
        "goal": target.goal,
        "target": math.nan if target.value is None else target.value,
        "held": f"{held.evaluations} within {held.slack:g}" if (held := target.held) else "",
        "budget_steps": header.budget.steps,
        "budget_seconds": header.budget.seconds,
        "hyperparameters": json.dumps(dict(header.hyperparameters), sort_keys=True),
        "source_sha256": header.source_sha256,
        "settings_sha256": header.settings_sha256,
        "data_sha256": header.data_sha256,
        "digest": str(header.hardware.get("digest", "")),
        "hardware": json.dumps(dict(header.hardware), sort_keys=True),
        "versions": json.dumps(dict(header.versions), sort_keys=True),
        "unsteady": bool(extra.get("step_s_unsteady", False)),
        "torn": record.torn,
        "attempts": attempt_of(record.path) + 1,
        "doubt": str(extra.get("doubt", "")),
        "audit": json.dumps(extra.get("audit", [])),
        **{name: _real(extra.get(name)) for name in WITNESSED},
    }


def _real(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _gaps(record: Record, hit: int | None) -> Readings:
    if hit is None or has_before(_target(record), record.evaluations, hit):
        return Readings.all(0.0)
    now = Readings.of(record.evaluations[hit])
    before = Readings.of(record.evaluations[hit - 1]) if hit else Readings.all(0.0)
    return Readings({clock: now[clock] - before[clock] for clock in now})


def _target(record: Record) -> Target:
    if record.header.target is None:
        raise RecordError(f"{record.path}: cannot be scored: its run sets targets, so it had none")
    return record.header.target


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
