"""The order of examples: drawn from the seed to train on, fixed for good to split by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workloads.contract import Array, Batch
from workloads.numbered import NumberedStream, Shuffle

Make = Callable[[Array, np.random.Generator], Batch]
_ORDER, _BATCH = 0, 1  # which of a seed's independent random sequences


def epochs(
    examples: int, batch_size: int, make: Make, seed: int, prefetch: int = 0
) -> NumberedStream:
    """Examples in another order every epoch.

    `make` turns the positions of a batch's examples, int64 (batch_size,), into the batch; what it
    draws at random it draws from the generator it is handed.
    """
    shuffle = Shuffle(examples, batch_size, _ORDER)

    def make_batch(seed: int, number: int) -> Batch:
        random = np.random.default_rng((seed, _BATCH, number))
        return make(shuffle(seed, number), random)

    return NumberedStream(make_batch, seed, prefetch)


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
