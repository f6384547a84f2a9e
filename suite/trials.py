"""Racing a set of trials of a folder, and what their records say: for every procedure here."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence

import cluster
from cluster import Executor
from cluster.spec import Finished, Limits, TrialSpec
from cluster.supervision.witness import off_clock_s
from scoring.ground.documents import ConfigError
from scoring.ground.ends import ENDS
from scoring.ground.words import Resources
from scoring.records import Record, read_record, record_attempts
from suite.live import display, one_line
from suite.talk import say


@dataclasses.dataclass(frozen=True)
class Place:
    """Where trials race, as `cluster.run_all` has it."""

    executor: Executor = "ray"
    address: str | None = None
    at_once: int | None = None


def refuse_too_many_cores(resources: Resources, asked: str) -> None:
    """See that this machine can lend what a trial was `asked` to hold, before anything is begun.

    Raises:
        ConfigError: it cannot.
    """
    cores = resources.cores * resources.ranks
    here = len(os.sched_getaffinity(0))
    if cores > here:
        raise ConfigError(
            f"{asked}: a trial needs {cores} cores, but this machine has {here}; "
            "lower it, or race on a cluster: --address"
        )


def race(
    specs: Sequence[TrialSpec],
    place: Place,
    *,
    limits: Limits | None = None,
    heard: Callable[[Finished], None] | None = None,
) -> list[Record]:
    """Race what has not ended yet, with a display; every trial's record, in the order of `specs`.

    `heard` is called as each trial ends.

    Raises:
        ClusterError: the place to race cannot be had.
    """
    with display(specs) as shown:
        ended = cluster.run_all(
            specs,
            executor=place.executor,
            address=place.address,
            at_once=place.at_once,
            watch=shown.update,
            limits=limits,
            tell=say,
        )
        for trial in ended:
            shown.finish(trial)
            if heard is not None:
                heard(trial)
    return [record_of(spec) for spec in specs]


def record_of(spec: TrialSpec) -> Record:
    """The record of a trial's last attempt."""
    return read_record(record_attempts(spec.run, spec.key)[-1])


def tell_failures(
    records: Sequence[Record], name: str, consequence: str, say: Callable[[str], None]
) -> None:
    """Tell how many trials of a submission failed, and what comes of it.

    Raises:
        ConfigError: all of them did.
    """
    failed = [one for one in records if one.outcome and ENDS[one.outcome.end].fails_run]
    if not failed:
        return
    first = failed[0].outcome
    detail = f"{one_line(first.reason) if first else ''} ({failed[0].path})"
    if len(failed) == len(records):
        raise ConfigError(f"{name}: every trial failed: {detail}")
    say(f"{len(failed)} of {len(records)} trials failed and {consequence}: {detail}")


def core_hours(records: Iterable[Record]) -> float:
    """What trials held of cores, from their first step to their last word."""
    return sum(_core_seconds(record) for record in records) / 3600.0


def _core_seconds(record: Record) -> float:
    outcome = record.outcome
    if outcome is None:
        return 0.0
    # Raced in this process a trial has no witness, and tells itself.
    own = outcome.wall_s + off_clock_s(outcome)
    seconds = float(outcome.extra.get("witness_wall_s", own))
    return seconds * int(record.header.hardware.get("cores", 1))
