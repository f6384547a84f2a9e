"""Where the data come from, and the order in which training sees them."""

from __future__ import annotations

import numpy as np

from workloads import images
from workloads.contract import Array, Batch
from workloads.numbered import NumberedStream, Shuffle

SOURCE: images.Source = "mnist-5k"
_AS_THEY_ARE = np.arange(10, dtype=np.int32)
"""The class labels that `images` uses, unchanged."""


def fetch() -> None:
    """Make sure the data are on this machine."""
    images.fetch(SOURCE)


def stream(batch_size: int, seed: int) -> NumberedStream:
    """Every training image once an epoch, in an order that depends on the seed alone."""
    train = images.load(SOURCE).train
    shuffle = Shuffle(len(train), batch_size)
    return NumberedStream(lambda of, number: train.batch(shuffle(of, number), _AS_THEY_ARE), seed)


def held_out(where: slice) -> Batch:
    """Images that training never sees: float32 (N, 784) in [0, 1], with labels int32 (N,)."""
    return images.load(SOURCE).held_out.batch(where, _AS_THEY_ARE)


def noise(batch_size: int, seed: int) -> Batch:
    """A batch of random values, of the same shapes and types as the stream's."""
    random = np.random.default_rng(seed)
    image: Array = random.random((batch_size, 784), dtype=np.float32)
    return {"image": image, "label": random.integers(0, 10, batch_size, dtype=np.int32)}
