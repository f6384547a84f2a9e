"""A small byte-pair encoding that needs no package and comes out the same everywhere.

`merges.json` holds the pairs that were learned from the training documents, in their order; the
first so many of them make a vocabulary of that many more than the 256 bytes. It was written by
`python -m workloads.lm.learn_merges`, and a test learns it anew.
"""

from __future__ import annotations

import collections
import functools
import itertools
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np

from workloads.contract import Array

PIECES = re.compile(
    rb" ?[A-Za-z\x80-\xff]+|[0-9]|[^A-Za-z0-9\x80-\xff\s]+|\s",
)
"""What no merge crosses: words with the space before them, digits, runs of signs, white space."""
BYTES = 256
FILE = Path(__file__).with_name("merges.json")
LARGEST = 2048
"""The vocabulary that all merges make."""

Pair: TypeAlias = tuple[int, int]


@functools.cache
def merges() -> tuple[Pair, ...]:
    """The pairs that become one token, in the order in which they were learned."""
    return tuple((left, right) for left, right in json.loads(FILE.read_bytes()))


def token_bytes(vocabulary: int) -> Array:
    """How many bytes each token of a vocabulary of that size stands for."""
    sizes = [1] * BYTES
    for left, right in merges()[: vocabulary - BYTES]:
        sizes.append(sizes[left] + sizes[right])
    return np.array(sizes, np.int64)


class Encoder:
    """Turns text into tokens of a vocabulary; remembers what became of each piece."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self._rank = {pair: number for number, pair in enumerate(pairs)}
        self._seen: dict[bytes, list[int]] = {}

    def __call__(self, text: bytes) -> list[int]:
        """The tokens of a text."""
        tokens: list[int] = []
        for piece in PIECES.findall(text):
            cached = self._seen.get(piece)
            if cached is None:
                cached = self._seen[piece] = self._merged(list(piece))
            tokens += cached
        return tokens

    def _merged(self, tokens: list[int]) -> list[int]:
        last = len(self._rank)
        while len(tokens) > 1:
            rank = min(self._rank.get(pair, last) for pair in itertools.pairwise(tokens))
            if rank == last:
                break
            pair = next(p for p in itertools.pairwise(tokens) if self._rank.get(p) == rank)
            tokens = joined(tokens, pair, BYTES + rank)
        return tokens


def decoded(tokens: Iterable[int], pairs: Iterable[Pair]) -> bytes:
    """The text of some tokens."""
    texts = [bytes([byte]) for byte in range(BYTES)]
    for left, right in pairs:
        texts.append(texts[left] + texts[right])
    return b"".join(texts[token] for token in tokens)


def learn(counts: Mapping[bytes, int], vocabulary: int) -> list[Pair]:
    """The merges that make a vocabulary: always of the most frequent pair, ties by least ids."""
    words = [(list(piece), count) for piece, count in sorted(counts.items())]
    frequency: collections.Counter[Pair] = collections.Counter()
    where: dict[Pair, set[int]] = collections.defaultdict(set)
    for number, (tokens, count) in enumerate(words):
        for pair in itertools.pairwise(tokens):
            frequency[pair] += count
            where[pair].add(number)
    merges: list[Pair] = []
    while len(merges) < vocabulary - BYTES:
        best = min(frequency, key=lambda pair: (-frequency[pair], pair))
        merges.append(best)
        for number in where.pop(best):
            tokens, count = words[number]
            _count(frequency, where, tokens, -count, number)
            tokens = joined(tokens, best, BYTES + len(merges) - 1)
            words[number] = tokens, count
            _count(frequency, where, tokens, count, number)
        del frequency[best]
    return merges


def _count(
    frequency: collections.Counter[Pair],
    where: dict[Pair, set[int]],
    tokens: list[int],
    count: int,
    number: int,
) -> None:
    for pair in itertools.pairwise(tokens):
        frequency[pair] += count
        if count > 0:
            where[pair].add(number)


def joined(tokens: list[int], pair: Pair, token: int) -> list[int]:
    """With every occurrence of the pair replaced, from the left."""
    joined: list[int] = []
    place = 0
    while place < len(tokens):
        if tuple(tokens[place : place + 2]) == pair:
            joined.append(token)
            place += 2
        else:
            joined.append(tokens[place])
            place += 1
    return joined


def learn_from(documents: Iterable[bytes], vocabulary: int = LARGEST) -> list[Pair]:
    """The merges that some documents ask for."""
    counts = collections.Counter(piece for text in documents for piece in PIECES.findall(text))
    return learn(counts, vocabulary)
