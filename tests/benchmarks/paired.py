"""Does the paired clock hold still when the machine does not? Whole trials, quiet and loaded.

    python -m tests.benchmarks.paired FOLDER [-w lm-toy-v2] [-s adamw -s muon_jax] [--studies 2]

Races the same trials twice, as any run does: on the machine as it is, and beside busy neighbours
that add arrays far larger than the caches, one on each other core. Seeds are the same, so that
both make the same steps. Prints for each submission and workload, by clock, the reading a step and
by how much the neighbours moved it. Quiet must mean quiet: let nothing else run. It goes on where
it was stopped. No assertion.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from scoring.ground.clocks import CLOCKS
from scoring.records import Record, read_run

_CLOCKS = ("wall", "cpu", "paired")
_BUSY = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
import numpy
a, b = numpy.zeros(2**25), numpy.ones(2**25)
while True:
    a += b
"""


@contextlib.contextmanager
def neighbours(count: int) -> Iterator[None]:
    """Busy processes beside what is measured, of one thread each, from the last core downwards.

    Trials take cores from the first upwards: as many neighbours as there are other cores share
    memory and caches with the trial, and more of them its core too.
    """
    cores = sorted(os.sched_getaffinity(0), reverse=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    busy = [
        subprocess.Popen(
            [sys.executable, "-c", _BUSY, str(cores[place % len(cores)])], env=environment
        )
        for place in range(count)
    ]
    try:
        yield
    finally:
        for one in busy:
            one.kill()
            one.wait()


def race(suite: Path, output: Path, at_once: int) -> list[Record]:
    """The trials of a run, which goes on where it was stopped."""
    given = ["--resume"] if output.exists() else [str(suite)]
    words = ["run", *given, "-o", str(output), "--at-once", str(at_once), "--no-prune"]
    code = "from suite.cli import main; main()"
    # Its exit code tells of trials that failed; the table shows what there is.
    subprocess.run([sys.executable, "-c", code, *words], check=False, stdout=sys.stderr)
    return read_run(output)


def a_step(record: Record, clock: str) -> float:
    """A trial's reading a step where it ended."""
    end = record.outcome
    assert end is not None
    return CLOCKS[clock].read(end) / end.steps  # type: ignore[index]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("-w", "--workload", action="append")
    parser.add_argument("-s", "--submission", action="append")
    parser.add_argument("--studies", type=int, default=2)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--neighbours", type=int, default=max(1, (os.cpu_count() or 1) - 1))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    suite = given.folder / "suite.yaml"
    body = {
        "title": "quiet and loaded",
        "workloads": given.workload or ["lm-toy-v2", "recommender-toy-v3"],
        "submissions": given.submission or ["adamw", "muon", "adamw_jax"],
        "ruleset": "self",
        "studies": given.studies,
        "clock": "paired",
        "budget_factor": 0.5,
    }
    suite.write_text(yaml.safe_dump(body))
    quiet = race(suite, given.folder / "quiet", given.at_once)
    with neighbours(given.neighbours):
        loaded = race(suite, given.folder / "loaded", given.at_once)
    show(quiet, loaded)


def show(quiet: list[Record], loaded: list[Record]) -> None:
    """A line a submission on a workload, means over its trials, and one over all pairs of trials.

    `+-` is the standard error of the mean.
    """
    print(f"{'workload':20} {'submission':14}" + "".join(f"{clock:>30}" for clock in _CLOCKS))
    after = {record.header.key: record for record in loaded}
    pairs: dict[tuple[str, str], list[tuple[Record, Record]]] = {}
    for record in quiet:
        other = after.get(record.header.key)
        if record.outcome and other and other.outcome and record.outcome.steps:
            place = (record.header.workload, record.header.submission)
            pairs.setdefault(place, []).append((record, other))
    for (workload, submission), own in pairs.items():
        cells = "".join(f"{_mean(own, clock):13.4g}{_moved(own, clock)}" for clock in _CLOCKS)
        print(f"{workload:20} {submission:14}{cells}")
    every = [pair for own in pairs.values() for pair in own]
    if every:
        cells = "".join(" " * 13 + _moved(every, clock) for clock in _CLOCKS)
        print(f"{f'all {len(every)} pairs of trials':35}{cells}")


def _mean(pairs: list[tuple[Record, Record]], clock: str) -> float:
    """A quiet trial's reading a step."""
    return statistics.fmean(a_step(before, clock) for before, _ in pairs)


def _moved(pairs: list[tuple[Record, Record]], clock: str) -> str:
    """By how much the neighbours moved it."""
    moved = [100 * (a_step(two, clock) / a_step(one, clock) - 1) for one, two in pairs]
    error = f"{statistics.stdev(moved) / len(moved) ** 0.5:.1f}" if len(moved) > 1 else "?"
    return f"{statistics.fmean(moved):+7.1f} +-{error:>4} %"


if __name__ == "__main__":
    main()
