"""A cluster of a hundred nodes, simulated: `python -m tests.benchmarks.replay [NODES] [TRIALS]`.

The driver's own code races trials whose seconds are those of recorded ones (`durations.json`) on
nodes that only count time. Printed: the makespan beside the ideal one, what the driver took, and
what `--resume` takes when all but a few trials have ended.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import json
import resource
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import workloads
from cluster.attempts import header_of
from cluster.executors.race import News, Race, longest_last_stretch
from cluster.faults import NodeError
from cluster.spec import Limits, Stop, TrialSpec, Update
from scoring.ground.words import Budget, Target, TrialKey
from scoring.records import Evaluation, Outcome, Writer
from submissions.source import parse

DURATIONS = Path(__file__).with_name("durations.json")
CORES = 4
"""Of a node."""
BETWEEN_S = 0.5
"""Between two trials on a core."""
SOURCE = parse("mine", "def submission(params, lr=0.1): ...\n", "mine.py")


class Simulated:
    """A `race.Fleet` of cores that count time; each `fails`-th trial is let down once."""

    def __init__(self, cores: int, seconds: dict[TrialKey, float], fails: int = 0) -> None:
        self.now = 0.0
        self._free = cores
        self._seconds = seconds
        self._queue: deque[tuple[int, TrialSpec]] = deque()
        self._racing: list[tuple[float, int, TrialSpec]] = []
        self._news: dict[int, deque[News]] = {}  # of those that have any
        self._handles = itertools.count()
        self._fails = fails
        self._down: set[TrialKey] = set()
        self.posted: dict[TrialKey, Stop] = {}

    def send(self, spec: TrialSpec, errand: Any, node: str | None, spread: bool) -> int:
        handle = next(self._handles)
        self._queue.append((handle, spec))
        return handle

    def ready(self, handles: Sequence[Any]) -> list[Any]:
        while self._free and self._queue:
            handle, spec = self._queue.popleft()
            self._free -= 1
            until = self.now + self._seconds[spec.key] + BETWEEN_S
            heapq.heappush(self._racing, (until, handle, spec))
        if not self._news:
            self.now, handle, spec = heapq.heappop(self._racing)
            self._free += 1
            self._tell(handle, spec)
        return list(self._news)

    def _tell(self, handle: int, spec: TrialSpec) -> None:
        wall_s = self._seconds[spec.key]
        self._news[handle] = deque()
        self._news[handle].append(Update(spec.key, "training", 10, wall_s / 2, 0.5))
        down = self._fails and handle % self._fails == 0 and spec.key not in self._down
        if down:
            self._down.add(spec.key)
            self._news[handle].append(NodeError("its process was killed by SIGKILL"))
        else:
            self._news[handle].append(Outcome("budget", 20, wall_s, wall_s, "20 steps are spent"))

    def next(self, handle: Any) -> News:
        news = self._news[handle].popleft()
        if not isinstance(news, Update):
            del self._news[handle]
        return news

    def alive(self) -> Iterable[str]:
        return ()

    def post(self, key: TrialKey, stop: Stop) -> None:
        self.posted[key] = stop


def planned(trials: int, run: Path) -> tuple[list[TrialSpec], dict[TrialKey, float]]:
    """Trials as a suite plans them, and the seconds that each will take."""
    rows: list[tuple[str, float, float]] = json.loads(DURATIONS.read_text())
    ids = {id.rpartition("-v")[0]: id for id in workloads.ids(variants=False)}
    specs, seconds = [], {}
    for number in range(trials):
        name, budget_s, took_s = rows[number * 7919 % len(rows)]
        study, trial = divmod(number // 40, 25)
        spec = TrialSpec(
            run=run,
            workload=ids[name],
            submission=f"method{number % 40}",
            source=SOURCE,
            hyperparameters={"lr": 0.1},
            study=study,
            trial=trial,
            seed=number,
            target=Target("validation/loss", "min", 2.5),
            budget=Budget(400, budget_s),
        )
        specs.append(spec)
        seconds[spec.key] = took_s
    return specs, seconds


def replay(
    specs: Sequence[TrialSpec],
    seconds: dict[TrialKey, float],
    cores: int,
    limits: Limits | None = None,
    fails: int = 0,
) -> float:
    """The share of the ideal makespan that the driver's own order reaches."""
    fleet = Simulated(cores, seconds, fails)
    ordered = longest_last_stretch(specs, cores)
    race = Race(ordered, lambda news: None, 2 * cores if limits is None else cores, fleet, limits)
    ended = 0
    while race.unfinished:
        ended += len(list(race.look()))
    assert ended == len(specs)
    work = sum(seconds[spec.key] + BETWEEN_S for spec in specs)
    return max(work / cores, max(seconds.values())) / fleet.now


def write_ended(specs: Sequence[TrialSpec]) -> None:
    """Whole records of twenty evaluations each."""
    header = header_of(specs[0], [0])
    for spec in specs:
        own = dataclasses.replace(
            header,
            workload=spec.workload,
            submission=spec.submission,
            study=spec.study,
            trial=spec.trial,
            seed=spec.seed,
            settings_sha256=workloads.get(spec.workload).settings_sha256,
        )
        writer = Writer(spec.record(0))
        lines = [
            Evaluation(20 * k, float(k), float(k), {"validation/loss": 4 - 0.05 * k})
            for k in range(1, 21)
        ]
        writer.write(own, *lines, Outcome("budget", 400, 20.0, 20.0, "400 steps are spent"))
        writer.close()


def main(nodes: int = 100, trials: int = 10_000) -> None:
    """Print what a run of that size comes to."""
    from cluster import _ended_before

    began = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        specs, seconds = planned(trials, Path(scratch))
        share = replay(specs, seconds, nodes * CORES)
        took = time.process_time() - began
        print(f"{trials} trials on {nodes} nodes of {CORES} cores: {share:.1%} of the ideal")
        print(f"the driver took {took:.1f} CPU s, {took / trials * 1000:.2f} ms a trial")
        write_ended(specs[:-10])
        began = time.process_time()
        left = 0
        looking = _ended_before(specs, False)
        try:
            while True:
                next(looking)
        except StopIteration as stop:
            left = len(stop.value)
        print(f"--resume knows what is left, {left}, in {time.process_time() - began:.1f} CPU s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"at most {peak:.0f} MB of memory")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
