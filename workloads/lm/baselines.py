"""What counting reaches: n-gram models with interpolated Kneser-Ney smoothing.

`python -m workloads.lm.baselines` prints the lines of the family's page. Counts are of the training
text, and the tokens judged are the ones that the transformer is judged on; a count sees the tokens
before a window, too, which the transformer does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np

import workloads
from workloads.contract import Array
from workloads.errors import WorkloadError
from workloads.lm.corpus import SEPARATOR
from workloads.lm.data import read_corpus
from workloads.lm.settings import LmScale

ORDERS = range(5)
DISCOUNT = 0.75
LARGEST_KEY = 2**63
"""The n tokens of an n-gram are digits of one int64."""


class NGrams:
    """Counts of a text, as a distribution over the next of `vocabulary` tokens."""

    def __init__(self, text: Array, vocabulary: int, order: int) -> None:
        if vocabulary**order >= LARGEST_KEY:
            raise ValueError(f"{order} tokens of {vocabulary} do not fit a 64-bit key")
        self._vocabulary = vocabulary
        self._tables: list[tuple[Array, Array]] = []
        """By length: the n-grams, and how often each is seen.

        Shorter ones than the longest count by how many different tokens stand before them.
        """
        grams, counts = np.unique(_keys(text, vocabulary, order), return_counts=True)
        for length in range(order, 0, -1):
            self._tables.insert(0, (grams, counts))
            grams, counts = np.unique(grams % vocabulary ** (length - 1), return_counts=True)

    def bits(self, text: Array) -> Array:
        """What each token costs after those before it; the text begins a document."""
        probabilities = np.full(len(text), 1 / self._vocabulary)
        for length, (grams, counts) in enumerate(self._tables, 1):
            before = np.full(length - 1, SEPARATOR, text.dtype)
            queries = _keys(np.concatenate([before, text]), self._vocabulary, length)
            pasts, place = np.unique(grams // self._vocabulary, return_inverse=True)
            total, kinds = np.bincount(place, counts), np.bincount(place)
            own = np.maximum(_look_up(grams, counts, queries) - DISCOUNT, 0)
            past = queries // self._vocabulary
            seen = np.maximum(_look_up(pasts, total, past), 1)
            discounted = DISCOUNT * _look_up(pasts, kinds, past)
            # A past that was never seen leaves all to the shorter one.
            share = np.where(discounted > 0, discounted / seen, 1.0)
            probabilities = own / seen + share * probabilities
        cost: Array = -np.log2(probabilities)
        return cost


def _keys(text: Array, vocabulary: int, length: int) -> Array:
    """Every `length` neighbours as one number, the first token its highest digit."""
    count = len(text) - length + 1
    keys = np.zeros(count, np.int64)
    for place in range(length):
        keys = keys * vocabulary + text[place : place + count]
    return keys


def _look_up(keys: Array, values: Array, queries: Array) -> Array:
    """The value of each key asked for, 0 where there is none; `keys` are sorted."""
    place = np.minimum(np.searchsorted(keys, queries), len(keys) - 1)
    counts: Array = np.where(keys[place] == queries, values[place], 0)
    return counts


def table(id: str, orders: Iterable[int] = ORDERS) -> dict[int, dict[str, float]]:
    """Bits per byte of each order on the validation and the test set."""
    settings = cast(LmScale, workloads.get(id).settings)
    data = settings.data
    corpus = read_corpus(data, settings.batch_size)
    sizes = corpus.token_bytes
    if sizes is None:
        raise WorkloadError(f"{id}: the number of bytes per token is unknown for its data")
    parts = {
        "validation": (corpus.validation, data.validation_batches),
        "test": (corpus.test, data.test_batches),
    }
    rows: dict[int, dict[str, float]] = {}
    for order in orders:
        grams = NGrams(corpus.train[0], data.vocabulary, order)
        rows[order] = {}
        for part, (tokens, batches) in parts.items():
            a_batch = settings.batch_size * data.context
            count = (batches or (len(tokens) - 1) // a_batch) * a_batch
            predicted = tokens[1 : count + 1]
            bits = grams.bits(tokens[: count + 1])[1:].sum()
            rows[order][part] = float(bits / sizes[predicted].sum())
    return rows


if __name__ == "__main__":
    for id in ("lm-toy", "lm-laptop"):
        for order, values in table(next(i for i in workloads.ids() if i.startswith(id))).items():
            print(id, order, *(f"{value:.3f}" for value in values.values()))
