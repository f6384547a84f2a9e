"""What the audit hook costs a trial: how often Python calls it in a step, and what a call takes.

    python -m tests.benchmarks.audit_cost [WORKLOAD]

Both are taken in one process, the call's cost by CPU time over many, so that the share of a step
does not hang on what else the machine does.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from time import process_time as _cpu_s
from typing import Any

import workloads
from cluster.guards.audit import Audit
from cluster.learners.contract import Learner, LearnersPolicy
from cluster.learners.entry import Seeds
from cluster.process import set_environment
from cluster.spec import TrialSpec
from cluster.trial.warm_up import warm_learner
from scoring.ground.words import Budget, Resources
from submissions.source import files_of, find

STEPS, CALLS = 500, 200_000


class Counted(Audit):
    """A hook that knows how often it was called."""

    calls = 0

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        self.calls += 1
        super()._hook(event, arguments)


def share(workload_id: str, name: str) -> tuple[float, float]:
    """Calls a step, and the share of a step's CPU seconds that they take."""
    source, workload = find(name), workloads.get(workload_id)
    hook, bare = Counted(), Audit()
    with tempfile.TemporaryDirectory() as folder:
        spec = TrialSpec(
            run=Path(folder),
            workload=workload_id,
            submission=name,
            source=source,
            hyperparameters={},
            study=0,
            trial=0,
            seed=1,
            target=None,
            budget=Budget(10**6, 1e6),
        )
        seeds = Seeds.of(spec.seed)
        stream = workload.stream(seeds.stream)
        learner: Learner = warm_learner(spec, workload, seeds)
        learner.begin()
        policy = LearnersPolicy(learner)
        hook.watch(files_of(source), Path(folder), [])
        before, began = hook.calls, _cpu_s()
        for _ in range(STEPS):
            learner.step(lambda: stream.next(policy))
        learner.synchronize()
        step_s, calls = (_cpu_s() - began) / STEPS, (hook.calls - before) / STEPS
        stream.close()
    began = _cpu_s()
    for _ in range(CALLS):
        bare._hook("object.__getattr__", ())
    return calls, calls * (_cpu_s() - began) / CALLS / step_s


if __name__ == "__main__":
    set_environment(Resources())
    for id in sys.argv[1:] or ["homeostatic-toy-v3"]:
        for one in ("adamw", "adamw_jax"):
            calls, part = share(id, one)
            print(f"{id} {one}: {calls:.1f} calls a step, {100 * part:.3f} % of it")
