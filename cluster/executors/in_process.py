"""The plain executor: one trial after the other in this very process, for tests and debugging.

Trials share the process, so what an earlier one imported or left in memory the next one meets;
times are comparable only between runs made this way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from cluster.attempts import cannot_matter, write_failure, write_not_begun
from cluster.cores import hold_cores
from cluster.faults import NODE, Interrupts, NodeError, check_interrupt
from cluster.spec import Finished, Limits, TrialSpec, Update, Watch
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
    with hold_cores(spec.resources.all_cores, lambda: watch(waiting)) as cores:
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
