"""Batches that are functions of the seed and their number alone."""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from workloads.contract import Array, Batch, Policy, Stream

Make = Callable[[Array, np.random.Generator], Batch]
_ORDER, _BATCH = 0, 1  # which of a seed's independent random sequences


class Epochs(Stream):
    """Examples in another order every epoch; the number of batches drawn is all the state.

    `make` turns the positions of a batch's examples, int64 (batch_size,), into the batch; what it
    draws at random it draws from the generator it is handed. The last examples of an epoch that
    do not fill a batch are left out: other ones each time.
    """

    def __init__(
        self, examples: int, batch_size: int, make: Make, seed: int, prefetch: int = 0
    ) -> None:
        self._examples = examples
        self._batch_size = batch_size
        self._batches = examples // batch_size
        self._make_batch = make
        self._seed = seed
        self._drawn = 0
        self._epoch = -1
        self._order: Array = np.empty(0, np.int64)
        self._ahead: collections.deque[Future[Batch]] = collections.deque()
        self._prefetch = prefetch
        self._pool = ThreadPoolExecutor(1, "prefetch") if prefetch else None

    def next(self, policy: Policy) -> Batch:
        """The next batch; the policy is not asked."""
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
        epoch, position = divmod(number, self._batches)
        if epoch != self._epoch:
            random = np.random.default_rng((self._seed, _ORDER, epoch))
            self._order = random.permutation(self._examples)
            self._epoch = epoch
        start = position * self._batch_size
        rows = self._order[start : start + self._batch_size]
        return self._make_batch(rows, np.random.default_rng((self._seed, _BATCH, number)))


def fixed_order(keys: Array) -> Array:
    """Pseudo-random 64-bit numbers of the integers `keys`, the same for ever (SplitMix64's mix).

    What splits data for good must not hang on a random generator that a new numpy may change.
    """
    mixed = keys.astype(np.uint64)
    mixed += np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
