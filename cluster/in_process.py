"""The plain executor: one trial after the other in this very process, for tests and debugging.

Trials share the process, so what an earlier one imported or left in memory the next one meets;
times are comparable only between runs made this way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.cores import hold_cores
from cluster.spec import Finished, TrialSpec, Update, Watch
from cluster.trial import run_trial


def run_here(specs: Sequence[TrialSpec], watch: Watch) -> Iterator[Finished]:
    """See `cluster.run_all`."""
    for spec in specs:
        waiting = Update(spec.key, "waiting for a core")
        with hold_cores(spec.resources.cores, lambda: watch(waiting)) as cores:  # noqa: B023
            trial = run_trial(spec, cores)
            while True:
                try:
                    watch(next(trial))
                except StopIteration as end:
                    outcome = end.value
                    break
        yield Finished(spec, outcome)
