"""Data by their digest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import workloads
from workloads import digest
from workloads.digest import data_digest


def test_types_shapes_and_values_all_count() -> None:
    zeros = np.zeros((2, 3), np.float32)
    others = [zeros.T, zeros.astype(np.int32), zeros + 1, np.zeros((2, 4), np.float32)]
    digests = [data_digest([array]) for array in (zeros, *others)]
    assert len(set(digests)) == len(digests)
    assert data_digest([zeros.copy()]) == digests[0]
    assert data_digest([zeros, zeros]) != digests[0]
    ordered = np.arange(6).reshape(2, 3)
    assert data_digest([ordered.T]) == data_digest([np.ascontiguousarray(ordered.T)])


def test_of_a_large_array_the_ends_and_parts_between_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(digest, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(digest, "PART_BYTES", 40)
    monkeypatch.setattr(digest, "PARTS", 5)
    array = np.arange(1000, dtype=np.int64)
    whole = data_digest([array])
    for place, seen in ((0, True), (999, True), (250, True), (100, False)):
        other = array.copy()
        other[place] += 1
        assert (data_digest([other]) != whole) is seen


@pytest.mark.network
@pytest.mark.parametrize("family", ["lm", "recommender", "lifelong", "homeostatic"])
def test_variants_on_the_same_data_have_the_same_digest(family: str) -> None:
    ids = [id for id in workloads.ids() if id.startswith(f"{family}-toy") and "ctr" not in id]
    found = {workloads.get(id).data_sha256() for id in ids}
    assert len(found) == 1
    assert len(found.pop()) == 64


def test_what_a_machine_makes_of_its_own_is_not_made_to_tell_its_digest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path))
    told = {id: workloads.get(id).made_here_sha256() for id in ("climate-toy-v2", "lm-toy-v2")}
    assert told == {"climate-toy-v2": "", "lm-toy-v2": None}
    assert not list(tmp_path.iterdir())
