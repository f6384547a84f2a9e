"""What the language model trains on: windows, their documents, and orders of them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workloads
from workloads.contract import Array
from workloads.lm.data import SUMMARIES, documents, topics
from workloads.lm.settings import DataSettings
from workloads.lm.windows import Documents, Ranked, Windows, by_length, by_topic

SETTINGS = DataSettings(
    source="wikipedia", context=4, vocabulary=256, validation_batches=1, test_batches=1
)


def text(*lengths: int) -> Array:
    """Documents of that many tokens; each token but the separator is its document's number."""
    numbered = enumerate(lengths, 1)
    return np.concatenate([[number] * (length - 1) + [0] for number, length in numbered])


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=9), min_size=1, max_size=3))
def test_every_token_is_of_the_document_that_it_says(parts: list[list[int]]) -> None:
    arrays = [text(*lengths) for lengths in parts]
    found = Documents(arrays, separator=0)
    assert found.lengths.tolist() == [length for lengths in parts for length in lengths]
    expected = np.repeat(np.arange(len(found.lengths)), found.lengths).tolist()
    places = [(which, place) for which, array in enumerate(arrays) for place in range(len(array))]
    assert [found.at(*place) for place in places] == expected


def test_the_last_document_may_lack_its_separator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workloads.lm.windows.SCANNED", 3)
    assert Documents([np.array([1, 1, 9, 2, 9, 3, 3])], separator=9).lengths.tolist() == [3, 2, 2]


def test_a_batch_tells_the_documents_that_its_windows_begin_in() -> None:
    windows = Windows([text(*[7, 12] * 10), text(*[5] * 20)], SETTINGS, 3)
    for number in range(12):
        batch = windows(0, number)
        assert {key: value.dtype for key, value in batch.items()} == dict.fromkeys(
            ("tokens", "document", "length"), np.int32
        )
        for row, document, length in zip(*batch.values(), strict=True):
            assert length == (5 if document >= 20 else 12 if document % 2 else 7)
            assert row[0] in (0, document % 20 + 1)


def passes(stream: Any, steps: int, count: int = 2) -> list[dict[str, Array]]:
    """The batches of each pass joined."""
    found = []
    for turn in range(count):
        batches = [stream(5, number) for number in range(turn * steps, (turn + 1) * steps)]
        found.append({key: np.concatenate([b[key] for b in batches]) for key in batches[0]})
    return found


def test_a_ranked_pass_holds_what_a_shuffled_one_holds() -> None:
    arrays = [text(*np.random.default_rng(0).integers(2, 30, 60))]
    shuffled = Windows(arrays, SETTINGS, 3)
    ranked = Ranked(Windows(arrays, SETTINGS, 3), 40, by_length(shuffled.documents.lengths))
    for plain, sorted_ in zip(passes(shuffled, 40), passes(ranked, 40), strict=True):
        assert sorted_["length"].tolist() == sorted(plain["length"].tolist())
        rows = [sorted(map(tuple, one["tokens"].tolist())) for one in (plain, sorted_)]
        assert rows[0] == rows[1]


def test_topics_come_one_after_another_in_an_order_of_the_seeds() -> None:
    topic = np.arange(60) % 4
    arrays = [text(*[9] * 60)]

    def order(seed: int) -> list[int]:
        ranked = Ranked(Windows(arrays, SETTINGS, 3), 40, by_topic(topic))
        seen = topic[np.concatenate([ranked(seed, number)["document"] for number in range(40)])]
        return [int(seen[0]), *(int(b) for a, b in itertools.pairwise(seen) if a != b)]

    found = {tuple(order(seed)) for seed in range(6)}
    assert len(found) > 2
    assert all(sorted(one) == [0, 1, 2, 3] for one in found)


@pytest.mark.network
@pytest.mark.parametrize("variant", ["bylength", "bytopic"])
def test_the_variants_order_the_text(variant: str) -> None:
    workload = workloads.get(f"lm-toy-v2+{variant}")
    stream = workload.stream(seed=1)
    seen = np.concatenate([stream.next(np.asarray)["length"] for _ in range(100)])
    if variant == "bylength":
        assert (np.diff(seen) >= 0).all()
    else:
        assert (np.diff(seen) < 0).any()


@pytest.mark.network
def test_every_training_document_has_a_topic() -> None:
    path = SUMMARIES.fetch()
    found = topics(path)
    assert len(found) == len(documents(path)["train"])
    assert len(set(found.tolist())) > 5
