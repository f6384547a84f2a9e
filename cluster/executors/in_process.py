"""The plain executor: one trial after the other in this very process, for tests and debugging.

Trials share the process, so what an earlier one imported or left in memory the next one meets;
times are comparable only between runs made this way, and no second witness tells them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterator, Sequence

from cluster.attempts import cannot_matter, write_failure, write_not_begun
from cluster.cores import hold_cores
from cluster.faults import NODE, Interrupts, NodeError, check_interrupt
from cluster.guards.audit import AUDIT
from cluster.process import lend_scratch
from cluster.scratch import scratch
from cluster.spec import Finished, Limits, TrialSpec, Update, Watch
from cluster.supervision import child
from cluster.trial.loop import run_trial
from scoring.records import Outcome


def run_here(
    specs: Sequence[TrialSpec], watch: Watch, limits: Limits | None = None
) -> Iterator[Finished]:
    """See `cluster.run_all`."""
    with Interrupts():
        for spec in specs:
            check_interrupt()
            stop = limits(spec) if limits else None
            yield Finished(spec, _race(dataclasses.replace(spec, stop=stop), watch))


def _race(spec: TrialSpec, watch: Watch) -> Outcome:
    if cannot_matter(spec):
        return write_not_begun(spec)
    waiting = Update(spec.key, "waiting for a core")
    held = hold_cores(spec.resources.all_cores, lambda: watch(waiting))
    with held as cores, scratch() as folder, _watched(spec, folder):
        try:
            for news in run_trial(spec, cores):
                if isinstance(news, Outcome):
                    return news
                watch(news)
        except NodeError as fault:
            return write_failure(spec, str(fault), fault=NODE)
        finally:
            if spec.resources.ranks > 1:
                from cluster.trial.ranks import dismiss

                dismiss(goes_on=True)
    raise AssertionError("a trial ends with its outcome")


@contextlib.contextmanager
def _watched(spec: TrialSpec, folder: str) -> Iterator[None]:
    """As in a process of its own: its temporary files in that folder, and what it opens noted."""
    before = os.environ.get("TMPDIR")
    lend_scratch(folder)
    child.watch(spec, folder)
    try:
        yield
    finally:
        AUDIT.rest()
        if before is None:
            os.environ.pop("TMPDIR", None)
        else:
            os.environ["TMPDIR"] = before
        tempfile.tempdir = None
