"""Windows of a text that are trained on: shuffled, or by what their documents are like."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workloads.contract import Array, Batch
from workloads.errors import WorkloadError
from workloads.lm.corpus import SEPARATOR
from workloads.lm.settings import DataSettings

SCANNED = 2**24
"""Tokens that are searched for separators at a time: a text may be larger than memory."""


class Documents:
    """Where the documents of a text lie, which is in several arrays; they are numbered through."""

    def __init__(self, arrays: Sequence[Array], separator: int) -> None:
        ends = [_ends(array, separator) for array in arrays]
        self._ends = ends
        self._first = np.cumsum([0, *map(len, ends)])
        """The number of each array's first document."""
        self.lengths = np.concatenate([np.diff(one, prepend=0) for one in ends])
        """Tokens of each, with the separator that ends it."""

    def at(self, which: int, position: int) -> int:
        """The number of the document that has the token at `position` of an array."""
        within = np.searchsorted(self._ends[which], position, side="right")
        return int(self._first[which] + within)


def _ends(array: Array, separator: int) -> Array:
    """One past the last token of each document; the last may lack its separator."""
    places = [
        np.flatnonzero(array[start : start + SCANNED] == separator) + start + 1
        for start in range(0, len(array), SCANNED)
    ]
    ends = np.concatenate([*places, np.empty(0, np.int64)])
    whole = len(ends) and ends[-1] == len(array)
    return ends if whole else np.append(ends, len(array))


class Windows:
    """Epochs of windows that do not overlap, in an order drawn from the seed and the epoch.

    Each epoch also draws where its first window begins, so that windows differ between epochs.

    Raises:
        WorkloadError: the text is shorter than one batch.
    """

    def __init__(
        self,
        arrays: Sequence[Array],
        data: DataSettings,
        batch_size: int,
        separator: int = SEPARATOR,
    ) -> None:
        self._arrays = arrays
        self._context = data.context
        self.batch_size = batch_size
        # One window less than fits, to leave room for the epoch's offset.
        self._ends = np.cumsum([max(len(array) // data.context - 1, 0) for array in arrays])
        self._batches = int(self._ends[-1]) // batch_size
        if not self._batches:
            raise WorkloadError(
                f"{data.source}: the training text is shorter than one batch of "
                f"{batch_size} x {data.context} tokens"
            )
        self.documents = Documents(arrays, separator)
        self._epoch: tuple[int, int] | None = None
        self._offset = 0
        self._order: Array = np.empty(0, np.int64)

    def __call__(self, seed: int, number: int) -> Batch:
        """The batch of that number; see `cut`."""
        return self.cut(self.places(seed, number))

    def places(self, seed: int, number: int) -> Array:
        """The array and the position where each window of a batch begins, (batch_size, 2)."""
        epoch, place = divmod(number, self._batches)
        if self._epoch != (seed, epoch):
            random = np.random.default_rng([seed, epoch])
            self._offset = int(random.integers(self._context))
            self._order = random.permutation(int(self._ends[-1]))
            self._epoch = seed, epoch
        chosen = self._order[place * self.batch_size : (place + 1) * self.batch_size]
        which = np.searchsorted(self._ends, chosen, side="right")
        before = np.concatenate([[0], self._ends])[which]
        return np.stack([which, self._offset + (chosen - before) * self._context], axis=1)

    def of(self, places: Array) -> Array:
        """The number of the document that each window begins in."""
        numbers = [self.documents.at(which, start) for which, start in places.tolist()]
        return np.array(numbers, np.int32)

    def cut(self, places: Array) -> Batch:
        """Windows and what they begin in.

        `tokens` int32 (batch_size, context + 1), and int32 (batch_size,) the number of the
        `document` that a window begins in, with its `length` in tokens.
        """
        rows = [
            self._arrays[which][start : start + self._context + 1]
            for which, start in places.tolist()
        ]
        documents = self.of(places)
        return {
            "tokens": np.stack(rows).astype(np.int32),
            "document": documents,
            "length": self.documents.lengths[documents].astype(np.int32),
        }


Rank = Callable[[int, Array], Array]
"""The seed of a pass and numbers of documents to where they stand in it, small ones first."""


def by_length(lengths: Array) -> Rank:
    """Short documents first."""
    return lambda seed, documents: lengths[documents]


def by_topic(topics: Array) -> Rank:
    """One topic after another, in an order of the seed's."""

    def rank(seed: int, documents: Array) -> Array:
        turns = np.random.default_rng([seed, 0, 1]).permutation(int(topics.max()) + 1)
        return turns[topics[documents]]

    return rank


class Ranked:
    """What so many shuffled batches hold, ranked by document; then what the next ones hold."""

    def __init__(self, windows: Windows, steps: int, rank: Rank) -> None:
        self._windows = windows
        self._steps = steps
        self._rank = rank
        self._pass: tuple[int, int] | None = None
        self._places: Array = np.empty((0, 2), np.int64)

    def __call__(self, seed: int, number: int) -> Batch:
        """The batch of that number, as `Windows.cut` gives it."""
        turn, place = divmod(number, self._steps)
        if self._pass != (seed, turn):
            numbers = range(turn * self._steps, (turn + 1) * self._steps)
            places = np.concatenate([self._windows.places(seed, n) for n in numbers])
            ranks = self._rank(seed, self._windows.of(places))
            self._places = places[np.argsort(ranks, kind="stable")]
            self._pass = seed, turn
        size = self._windows.batch_size
        return self._windows.cut(self._places[place * size : (place + 1) * size])
