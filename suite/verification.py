"""A run looked at by who did not race it: its weights judged again, its best raced again."""

from __future__ import annotations

import math
import multiprocessing
import secrets
import statistics
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click

from cluster import hardware, kept
from cluster.process import set_environment
from scoring import board
from scoring.claims import read_claims
from scoring.ground.documents import ConfigError
from scoring.ground.words import Resources, is_reference
from scoring.records import RecordError
from scoring.times import time_to_result
from suite import kept_plan
from suite.cli import INTERRUPTED
from suite.plan import Planned
from suite.request import Request
from suite.run import run as carry_out
from suite.talk import say


def differences(run: Path, *, needed: bool = True) -> list[str]:
    """One line a hit whose weights do not show what its record says.

    Raises:
        ConfigError: the folder holds no records; or, if `needed`, no weights of any hit.
        WorkloadError: the data of a workload cannot be had here.
    """
    records = read_claims(run, afresh=True).records
    if not records:
        raise ConfigError(f"{run}: no valid records; see gradathlon validate")
    hits = [one for one in records if one.outcome and one.outcome.end == "reached"]
    cores = {int(one.header.hardware.get("cores", 1)) for one in hits}
    with ProcessPoolExecutor(
        1,
        multiprocessing.get_context("spawn"),  # in which no submission's code ever ran
        initializer=set_environment,
        initargs=(Resources(max(cores, default=1)),),
    ) as fresh:
        difference = list(fresh.map(kept.judge_again, hits)) if hits else []
    lines = [f"{one.path}: {text}" for one, text in zip(hits, difference, strict=True) if text]
    judged = len(difference) - difference.count(None)
    if needed and hits and not judged:
        raise ConfigError(
            f"{run}: none of its {len(hits)} hits kept its weights (kept up to "
            f"{kept.MOST_BYTES // 10**6} MB): none can be judged again; race again with --rerun N"
        )
    say(f"{run}: {len(hits)} hits, {judged} with weights, {len(lines)} differ")
    return lines


def rerun(run: Path, count: int, seed: int | None) -> int:
    """Race the best submissions of the run's board again, at the same points on fresh seeds.

    Raises:
        ConfigError: no plan to go by, or its folder holds a run already.
    """
    planned = kept_plan.read(run)
    best = [name for name in _in_order(run) if name in planned.plan.submissions][:count]
    if not best:
        raise ConfigError(f"{run}: no submission met a target, so there is nothing to race again")
    fresh = secrets.randbits(31) if seed is None else seed
    folder = run.resolve().with_name(f"{run.resolve().name}-again")
    kept_plan.refuse_used(folder)
    again = _on_seed(planned, best, fresh)
    resources = planned.plan.suite.resources.lent
    kept_plan.write(
        folder,
        again,
        versions=hardware.versions(),
        hardware=hardware.fingerprint(resources),
    )
    say(f"{', '.join(best)} again on seed {fresh}, in {folder}")
    code = carry_out(Request(output=folder, resume=True))
    if code == INTERRUPTED:
        return code
    lines, lost = _compared(_times(run), _times(folder))
    for line in lines:
        click.echo(line)
    return 1 if lost else code


def _in_order(run: Path) -> list[str]:
    """Who met targets, from the best on: as on the board; without one, who met most of them."""
    met: dict[str, list[float]] = {}
    for (_, name), studies in _times(run).items():
        met.setdefault(name, []).extend(filter(math.isfinite, studies.values()))
    workloads_met = [name for name, times in met.items() if times]
    try:
        return [
            row.submission for row in board.compute([run]).rows if row.submission in workloads_met
        ]
    except RecordError:
        return sorted(
            workloads_met, key=lambda name: (-len(met[name]), statistics.median(met[name]))
        )


_Times = dict[tuple[str, str], dict[int, float]]
"""By workload and submission, each study's best time on the official clock."""


def _times(run: Path) -> _Times:
    times: _Times = {}
    for record in read_claims(run, afresh=True).records:
        header = record.header
        time = time_to_result(header, record.evaluations).on(header.clock)
        studies = times.setdefault((header.workload, header.submission), {})
        studies[header.study] = min(time, studies.get(header.study, math.inf))
    return times


def _compared(before: _Times, again: _Times) -> tuple[list[str], bool]:
    """One line a workload and submission; and whether any met a target that it no longer meets."""
    lines, lost = [], False
    for (workload, name), studies in sorted(again.items()):
        if is_reference(name):
            continue
        then = before.get((workload, name), {})
        lines.append(f"{name} on {workload}: {_told(then)}; again {_told(studies)}")
        lost |= _hits(then) > 0 and not _hits(studies)
    return lines, lost


def _hits(studies: Mapping[int, float]) -> int:
    return sum(map(math.isfinite, studies.values()))


def _told(studies: Mapping[int, float]) -> str:
    if not studies:
        return "not raced"
    median = statistics.median(studies.values())
    text = f"median {median:.4g}" if math.isfinite(median) else "median beyond the budget"
    return f"{_hits(studies)} of {len(studies)} studies met the target, {text}"


def _on_seed(planned: Planned, names: list[str], seed: int) -> Planned:
    plan = planned.plan
    entrants = {name: plan.submissions[name] for name in names}
    files = {entrant.file for entrant in entrants.values()}
    files |= {one.file for course in plan.workloads.values() for one in course.references.values()}
    suite = plan.suite.model_copy(update={"seed": seed, "submissions": names})
    settings = {
        "suite": suite,
        "submissions": entrants,
        "texts": {file: text for file, text in plan.texts.items() if file in files},
    }
    sources = {file: source for file, source in planned.sources.items() if file in files}
    return Planned(plan.model_copy(update=settings), sources)
