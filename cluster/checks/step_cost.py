"""What a submission's step costs in steps of the reference, at any scale: both timed in turns.

On random batches of a workload's shapes, so that no data are needed; the stream's share is left
out. Where a whole batch is too much for a machine, steps are timed on batches of a few rows: what a
method does to the weights costs the same whatever the batch, and loss and gradients cost in
proportion to it, so that two sizes tell the cost of the whole.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from time import perf_counter

from cluster.checks.bench import Bench
from cluster.learners import make_learner
from cluster.learners.contract import Learner
from cluster.process import seed_globals
from scoring.ground.documents import ConfigError
from scoring.ground.words import Resources
from submissions.source import Source
from workloads.contract import Batch

WINDOW_S = 0.15
PAIRS = 9
"""Pairs of neighbouring windows, a submission's and the reference's."""
BATCHES = 4
"""Different batches, drawn beforehand."""


@dataclasses.dataclass(frozen=True)
class StepCost:
    """A step's cost in reference steps, with its standard error, and the reference's seconds.

    `rows` are the batch sizes that it was extrapolated from; empty where the whole batch was timed.
    """

    ratio: float
    error: float
    reference_s: float
    rows: tuple[int, ...] = ()


def measure(
    source: Source,
    reference: Source,
    workload_id: str,
    rows: Sequence[int] = (),
    resources: Resources | None = None,
    now: Callable[[], float] = perf_counter,
) -> StepCost:
    """Time the submission's steps and the reference's in turns, both at their defaults.

    `rows` is a size, to which twice as many is added, or two; none for whole batches.

    Raises:
        ConfigError: a whole batch has not so many rows.
    """
    entrants = (Bench(source, workload_id, resources), Bench(reference, workload_id, resources))
    if not rows:
        pairs = _timed(entrants, None, now)
        ratio, error = _median([own / base for own, base in pairs])
        return StepCost(ratio, error, statistics.median(base for _, base in pairs))
    full = _rows_of(entrants[0].workload.batch_like())
    sizes = sorted({*rows}) if len({*rows}) > 1 else [rows[0], 2 * rows[0]]
    if sizes[-1] > full:
        raise ConfigError(
            f"{workload_id}: cannot time batches of {' and '.join(map(str, sizes))} rows, as a "
            f"full one has {full}; lower --rows, or omit it"
        )
    timed = [_timed(entrants, size, now) for size in sizes]
    whole = [
        (_extended(sizes, [own_a, own_b], full), _extended(sizes, [base_a, base_b], full))
        for (own_a, base_a), (own_b, base_b) in zip(*timed, strict=True)
    ]
    ratio, error = _median([own / base for own, base in whole])
    return StepCost(ratio, error, statistics.median(base for _, base in whole), tuple(sizes))


def _extended(sizes: Sequence[int], seconds: Sequence[float], size: int) -> float:
    """The seconds of a step at another batch size, along the line through two."""
    slope = max(0.0, seconds[1] - seconds[0]) / (sizes[1] - sizes[0])
    return seconds[0] + slope * (size - sizes[0])


def _median(ratios: Sequence[float]) -> tuple[float, float]:
    spread = statistics.stdev(ratios) if len(ratios) > 1 else math.nan
    return statistics.median(ratios), 1.2533 * spread / math.sqrt(len(ratios))


def _timed(
    entrants: Sequence[Bench], rows: int | None, now: Callable[[], float]
) -> list[tuple[float, float]]:
    """Pairs of seconds a step: the submission's, and the reference's right after."""
    own, base = (_Turns(bench, rows, now) for bench in entrants)
    own.window()  # caches and allocators settle; neither pair counts
    base.window()
    return [(own.window(), base.window()) for _ in range(PAIRS)]


class _Turns:
    """One learner on a few batches, a window at a time."""

    def __init__(self, bench: Bench, rows: int | None, now: Callable[[], float]) -> None:
        batches = [_cut(bench.workload.batch_like(seed), rows) for seed in range(BATCHES)]
        self._draw = itertools.cycle(batches).__next__
        self._now = now
        self._count = 1
        seed_globals(0)
        self._learner: Learner = make_learner(
            bench.source.framework,
            bench.entry({}),
            batches[:1],
            bench.workload.observations_like(),
        )
        self._learner.begin()

    def window(self) -> float:
        """Seconds a step over about `WINDOW_S`."""
        began = self._now()
        for _ in range(self._count):
            self._learner.step(self._draw)
        self._learner.drain()
        self._learner.synchronize()
        took = (self._now() - began) / self._count
        self._count = max(1, round(WINDOW_S / max(took, 1e-9)))
        return took


def _cut(batch: Batch, rows: int | None) -> Batch:
    return batch if rows is None else {name: array[:rows] for name, array in batch.items()}


def _rows_of(batch: Batch) -> int:
    return max(len(array) for array in batch.values())
