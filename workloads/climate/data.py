"""The stream of training steps, the examples to judge by, and where an archive comes from."""

from __future__ import annotations

import collections
import functools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from workloads.climate.archive import Archive, Pair
from workloads.climate.recipe import RECIPES
from workloads.contract import Array, Batch, Policy, Stream
from workloads.errors import WorkloadError

if TYPE_CHECKING:
    from workloads.climate import DataConfig

SHORT, LONG = RECIPES["slab-short"], RECIPES["slab-long"]


def fetch(config: DataConfig) -> None:
    """Make sure that the archive is on this machine: generate it, or look for its files.

    Raises:
        WorkloadError: it cannot be generated here, or its files are missing.
    """
    if config.source == "ace2-som":
        from workloads.climate import ace2

        ace2.find()
    else:
        from workloads.climate import generated

        generated.fetch(RECIPES[config.source])


def load(config: DataConfig) -> Archive:
    """The archive of a source, opened once a process and generated when need be.

    Raises:
        WorkloadError: missing, damaged, or not on the grid that the configuration states.
    """
    archive = _load(config.source)
    levels = (len(archive.scales.change) - 1) // 4
    if (archive.grid, levels) != (config.grid, config.levels):
        raise WorkloadError(
            f"{config.source}: has {levels} levels on {archive.grid.nlat} x {archive.grid.nlon}, "
            f"the workload's configuration states {config.levels} on {config.nlat} x {config.nlon}"
        )
    return archive


@functools.cache
def _load(source: str) -> Archive:
    if source == "ace2-som":
        from workloads.climate import ace2

        return ace2.read()
    from workloads.climate import generated

    generated.fetch(RECIPES[source])
    return generated.read(RECIPES[source])


def spread(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """`count` of the pairs, evenly spread; always the same.

    Raises:
        WorkloadError: there are fewer.
    """
    if len(pairs) < count:
        raise WorkloadError(f"the archive has {len(pairs)} held-out steps, {count} are needed")
    return [pairs[index * len(pairs) // count] for index in range(count)]


def batches(archive: Archive, pairs: Sequence[Pair], size: int) -> Iterator[Batch]:
    """The pairs' examples in batches, the last perhaps a smaller one."""
    for start in range(0, len(pairs), size):
        yield archive.batch(pairs[start : start + size])


class Steps(Stream):
    """Epochs of all training steps, of every CO2 level, in an order drawn from seed and epoch.

    A batch is a function of the seed and its number alone: the number drawn is all the state.
    """

    def __init__(self, archive: Archive, batch_size: int, seed: int, prefetch: int = 0) -> None:
        self._archive = archive
        self._batch_size = batch_size
        self._seed = seed
        self._prefetch = prefetch
        self._drawn = 0
        self._epoch = -1
        self._order: Array = np.empty(0, np.int64)
        self._ahead: collections.deque[Future[Batch]] = collections.deque()
        self._pool = ThreadPoolExecutor(1, "prefetch") if prefetch else None

    def next(self, policy: Policy) -> Batch:
        """`state`, `forcing` and `target`, float32 (B, channels, nlat, nlon); asks no policy."""
        if self._pool is None:
            batch = self._make(self._drawn)
        else:
            while len(self._ahead) <= self._prefetch:
                number = self._drawn + len(self._ahead)
                self._ahead.append(self._pool.submit(self._make, number))
            batch = self._ahead.popleft().result()
        self._drawn += 1
        return batch

    def state(self) -> dict[str, Any]:
        """Seed and number of batches drawn."""
        return {"seed": self._seed, "drawn": self._drawn}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue after the batches drawn."""
        while self._ahead:
            self._ahead.popleft().result()
        self._seed, self._drawn = int(state["seed"]), int(state["drawn"])
        self._epoch = -1

    def close(self) -> None:
        """End the prefetching thread."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _make(self, number: int) -> Batch:
        # The last steps of an epoch that do not fill a batch are left out: other ones each time.
        train = self._archive.train
        epoch, position = divmod(number, len(train) // self._batch_size)
        if epoch != self._epoch:
            self._order = np.random.default_rng([self._seed, epoch]).permutation(len(train))
            self._epoch = epoch
        chosen = self._order[position * self._batch_size : (position + 1) * self._batch_size]
        return self._archive.batch([train[index] for index in chosen])
