"""The plain executor: one trial after the other in this very process, for tests and debugging.

Trials share the process, so what an earlier one imported or left in memory the next one meets;
times are comparable only between runs made this way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.attempts import write_failure
from cluster.cores import hold_cores
from cluster.faults import NODE, Interrupts, NodeError
from cluster.spec import Finished, TrialSpec, Update, Watch
from cluster.trial import run_trial
from scoring.records import Outcome


def run_here(specs: Sequence[TrialSpec], watch: Watch) -> Iterator[Finished]:
    """See `cluster.run_all`."""
    with Interrupts():
        for spec in specs:
            yield Finished(spec, _race(spec, watch))


def _race(spec: TrialSpec, watch: Watch) -> Outcome:
    waiting = Update(spec.key, "waiting for a core")
    with hold_cores(spec.resources.cores, lambda: watch(waiting)) as cores:
        try:
            for news in run_trial(spec, cores):
                if isinstance(news, Outcome):
                    return news
                watch(news)
        except NodeError as fault:
            return write_failure(spec, str(fault), fault=NODE)
    raise AssertionError("a trial ends with its outcome")
