"""The byte-pair encoding of the language model's toy and laptop scales."""

from __future__ import annotations

import collections
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.lm import bpe
from workloads.lm.data import SUMMARIES, documents
from workloads.lm.settings import DataSettings

TEXTS = st.one_of(st.binary(max_size=60), st.text(max_size=40).map(str.encode))
CORPORA = st.dictionaries(
    st.text("abc", min_size=1, max_size=6).map(str.encode), st.integers(1, 9), min_size=3
)


@given(TEXTS)
def test_pieces_are_the_whole_text(text: bytes) -> None:
    assert b"".join(bpe.PIECES.findall(text)) == text


@given(TEXTS, st.integers(256, bpe.LARGEST))
def test_what_is_encoded_can_be_decoded(text: bytes, vocabulary: int) -> None:
    pairs = bpe.merges()[: vocabulary - bpe.BYTES]
    tokens = bpe.Encoder(pairs)(text)
    assert bpe.decoded(tokens, pairs) == text
    assert all(token < vocabulary for token in tokens)
    assert sum(bpe.token_bytes(vocabulary)[tokens]) == len(text) if tokens else not text


def naive(counts: dict[bytes, int], merges: int) -> list[bpe.Pair]:
    """Counting everything anew before each merge."""
    words = {piece: list(piece) for piece in counts}
    found: list[bpe.Pair] = []
    for number in range(merges):
        pairs: collections.Counter[bpe.Pair] = collections.Counter()
        for piece, tokens in words.items():
            for pair in itertools.pairwise(tokens):
                pairs[pair] += counts[piece]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        found.append(best)
        for piece, tokens in words.items():
            joined: list[int] = []
            while tokens:
                two = tuple(tokens[:2]) == best
                joined.append(256 + number if two else tokens[0])
                tokens = tokens[1 + two :]
            words[piece] = joined
    return found


@given(CORPORA, st.integers(1, 6))
def test_merges_are_those_of_counting_anew(counts: dict[bytes, int], merges: int) -> None:
    expected = naive(counts, merges)
    assert bpe.learn(counts, bpe.BYTES + len(expected)) == expected


@given(CORPORA)
def test_a_piece_is_encoded_as_it_was_merged(counts: dict[bytes, int]) -> None:
    pairs = naive(counts, 5)
    encode = bpe.Encoder(pairs)
    for piece in counts:
        tokens = list(piece)
        for number, pair in enumerate(pairs):
            tokens = bpe.joined(tokens, pair, 256 + number)
        assert encode(piece) == tokens


def test_merges_make_the_largest_vocabulary() -> None:
    assert len(bpe.merges()) == bpe.LARGEST - bpe.BYTES
    assert len(set(bpe.merges())) == len(bpe.merges())
    assert all(max(pair) < 256 + number for number, pair in enumerate(bpe.merges()))


@pytest.mark.parametrize("vocabulary", [255, 2049])
def test_another_vocabulary_is_refused(vocabulary: int) -> None:
    with pytest.raises(ValueError, match="the shipped merges support 256 to 2048"):
        DataSettings(
            source="wikipedia",
            context=4,
            vocabulary=vocabulary,
            validation_batches=1,
            test_batches=1,
        )


@pytest.mark.network
@pytest.mark.slow
def test_the_shipped_merges_are_those_of_the_training_documents() -> None:
    assert tuple(bpe.learn_from(documents(SUMMARIES.fetch())["train"])) == bpe.merges()
