"""Running trials: the one training loop, the clock, checkpoints, hardware, and two executors.

Part of Gradathlon.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Generator, Iterator, Sequence
from typing import Literal

from cluster.spec import Finished, Limits, Tell, TrialSpec, Update, Watch

Executor = Literal["ray", "in_process"]


def run_all(  # noqa: PLR0913 - where, what and how, each by its name
    specs: Sequence[TrialSpec],
    *,
    executor: Executor = "ray",
    address: str | None = None,
    at_once: int | None = None,
    watch: Watch | None = None,
    retry_failed: bool = False,
    limits: Limits | None = None,
    tell: Tell | None = None,
) -> Iterator[Finished]:
    """Run trials, several at a time where there are cores, and yield each as it ends.

    Trials that already ended in this run come first, at once, unraced (those that failed are raced
    again with `retry_failed`); one that was cut off continues from its checkpoint. `address` is a
    Ray cluster's ("auto" joins the one on this machine); None starts a local one. `at_once` trials
    race at the same time, on Ray and where not given as many as there is room for. `watch` is
    called with news of running trials. `limits` says of each trial, just before it starts, when it
    may stop; then no more trials are in flight than there is room for. `tell` is called with lines
    for the user: which nodes of a mixed cluster race and which stand aside, and that a second
    driver would not be noticed.

    Raises:
        ClusterError: no cores, no cluster at `address`, or another driver races this run.
        WorkloadError: no such workload.
    """
    from cluster.cores import check_locks
    from cluster.run_lock import drive
    from cluster.trial import bounds

    if not specs:
        return
    with drive(specs[0].run, tell):
        remaining = yield from _ended_before(specs, retry_failed)
        if not remaining:
            return
        if address is None:
            check_locks()
        watch = watch or _ignore
        for spec in remaining:
            bounds.clear(spec)
            watch(Update(spec.key, "queued"))
        if executor == "in_process":
            from cluster.executors.in_process import run_here

            yield from run_here(remaining, watch, limits)
        else:
            from cluster.executors.ray_executor import run_on_ray

            yield from run_on_ray(remaining, watch, address, at_once, limits, tell)


def _ended_before(
    specs: Sequence[TrialSpec], retry_failed: bool
) -> Generator[Finished, None, list[TrialSpec]]:
    from cluster.attempts import finished
    from cluster.trial.settings import with_settings

    remaining = []
    for spec in specs:
        outcome = finished(spec)
        if outcome is None or (retry_failed and outcome.end == "failed"):
            remaining.append(_with_whole_path(with_settings(spec)))
        else:
            yield Finished(spec, outcome)
    return remaining


def _with_whole_path(spec: TrialSpec) -> TrialSpec:
    """A trial runs in a folder of its own, and a submission may read a file that lies beside it."""
    origin = spec.source.origin
    if not os.path.exists(origin):
        return spec
    source = dataclasses.replace(spec.source, origin=os.path.abspath(origin))
    return dataclasses.replace(spec, source=source)


def _ignore(update: Update) -> None:
    pass
