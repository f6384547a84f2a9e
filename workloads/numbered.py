"""Streams whose batches depend only on the seed and the batch number."""

from __future__ import annotations

import collections
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from scoring.ground.words import StateDict
from workloads.contract import Array, Batch, Policy, Stream

Make = Callable[[int, int], Batch]
"""Maps the seed and a batch number, from 0, to the batch."""


class NumberedStream(Stream):
    """Batches made one by one by `make`; the number drawn is the only state.

    With `prefetch`, a thread makes that many ahead; only that thread then calls `make`.
    """

    def __init__(self, make: Make, seed: int, prefetch: int = 0) -> None:
        self._make = make
        self._seed = seed
        self._drawn = 0
        self._ahead: collections.deque[Future[Batch]] = collections.deque()
        self._prefetch = prefetch
        self._pool = ThreadPoolExecutor(1, "prefetch") if prefetch else None

    def next(self, policy: Policy) -> Batch:
        """The next batch; the policy is not used."""
        if self._pool is None:
            batch = self._make(self._seed, self._drawn)
        else:
            while len(self._ahead) <= self._prefetch:
                number = self._drawn + len(self._ahead)
                self._ahead.append(self._pool.submit(self._make, self._seed, number))
            batch = self._ahead.popleft().result()
        self._drawn += 1
        return batch

    def state(self) -> StateDict:
        """Seed and number of batches drawn."""
        return {"seed": self._seed, "drawn": self._drawn}

    def load_state(self, state: StateDict) -> None:
        """Resume after the batches drawn."""
        while self._ahead:
            self._ahead.popleft().result()
        self._seed, self._drawn = int(state["seed"]), int(state["drawn"])

    def close(self) -> None:
        """End the prefetching thread."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class Shuffle:
    """The examples of each batch: every example once per epoch, in a new order each epoch.

    The last examples of an epoch that do not fill a batch are dropped: different ones each epoch.
    `sequence` separates the order's random numbers from others drawn from the seed.
    """

    def __init__(self, examples: int, batch_size: int, *sequence: int) -> None:
        self._examples = examples
        self._batch_size = batch_size
        self._sequence = sequence
        self._epoch: tuple[int, int] | None = None
        self._order: Array = np.empty(0, np.int64)

    def __call__(self, seed: int, number: int) -> Array:
        """The examples' positions, int64 (batch_size,)."""
        epoch, place = divmod(number, self._examples // self._batch_size)
        if self._epoch != (seed, epoch):
            random = np.random.default_rng((seed, *self._sequence, epoch))
            self._order = random.permutation(self._examples)
            self._epoch = seed, epoch
        return self._order[place * self._batch_size : (place + 1) * self._batch_size]
