"""Do two trials at once, one core each, slow each other? Step times alone and side by side.

    python -m tests.benchmarks.side_by_side lm-toy-v2 --repeat 3

Races one trial alone, then two at once, on Ray as any run does, and prints for each the median
and the spread (p10 to p90) of its seconds a step, and CPU time over wall time. No assertion:
times are for reading, and hold only on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cluster
import workloads
from cluster.spec import TrialSpec
from scoring.ground.words import Budget
from scoring.records import Outcome
from submissions.source import find

SUBMISSIONS = ("adamw", "adamw_jax")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", default=["lm-toy-v2", "homeostatic-toy-v3"])
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    head = ("workload", "submission", "trials", "median", "p10", "p90", "cpu / wall")
    print("{:24} {:12} {:>6} {:>10} {:>10} {:>10} {:>11}".format(*head))
    for id in options.workloads:
        workloads.get(id).fetch()
        for submission in SUBMISSIONS:
            for together in (1, 2):
                for _ in range(options.repeat):
                    for outcome in race(id, submission, together):
                        show(id, submission, together, outcome)


def race(id: str, submission: str, together: int) -> list[Outcome]:
    with tempfile.TemporaryDirectory() as folder:
        steps = workloads.get(id).settings.step_hint
        specs = [
            TrialSpec(
                run=Path(folder),
                workload=id,
                submission=submission,
                source=find(submission),
                hyperparameters={},
                study=study,
                trial=0,
                seed=1,
                target=None,
                budget=Budget(steps, 1e6),
            )
            for study in range(together)
        ]
        return [finished.outcome for finished in cluster.run_all(specs)]


def show(id: str, submission: str, together: int, outcome: Outcome) -> None:
    seconds = [outcome.extra[f"step_s_{name}"] * 1e3 for name in ("median", "p10", "p90")]
    times = " ".join(f"{value:8.3f}ms" for value in seconds)
    ratio = outcome.cpu_s / outcome.wall_s
    print(f"{id:24} {submission:12} {together:6} {times} {ratio:11.3f}", flush=True)


if __name__ == "__main__":
    main()
