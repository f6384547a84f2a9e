from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.seeds import derive_seed, trial_seed
from submissions.source import parse
from suite.tuning import (
    tuned_points,
    unit_points,
    with_defaults,
    without_value,
)

RANGE = """\
SEARCH_SPACE = {"lr": {"min": 1e-4, "max": 1e-1, "scaling": "log"},
                "wd": {"min": 0.0, "max": 1.0, "scaling": "linear"}}
def submission(params, lr=1e-3, wd=0.1, betas=(0.9, 0.99)): ...
"""
OTHER = """\
SEARCH_SPACE = {"a": {"min": 0.0, "max": 1.0, "scaling": "linear"},
                "b": {"min": 0.0, "max": 1.0, "scaling": "linear"}}
def submission(a=0.5, b=0.5): ...
"""
LIST = """\
SEARCH_SPACE = [{"lr": 0.1}, {"lr": 0.2}]
def submission(params, lr): ...
"""
PLAIN = "def submission(params, lr=0.1): ...\n"


def test_seeds_are_pinned() -> None:
    # Records name their seed: the same suite must mean the same trials in every release.
    assert trial_seed(0, "lm-toy-v1", 0, 0) == 1567473783
    assert derive_seed("a", 1) == derive_seed("a", "1")


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=4))
def test_seeds_fit_every_generator(parts: list[int]) -> None:
    assert 0 <= derive_seed(*parts) < 2**31


def test_no_two_places_of_a_large_suite_share_a_seed() -> None:
    seeds = {
        trial_seed(seed, workload, study, trial)
        for seed in range(3)
        for workload in ("lm-toy-v2", "homeostatic-toy-v3")
        for study in range(10)
        for trial in range(20)
    }
    assert len(seeds) == 3 * 2 * 10 * 20


@settings(max_examples=20)
@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 1000))
def test_unit_points_lie_in_the_cube_and_repeat(dimensions: int, count: int, seed: int) -> None:
    points = unit_points(dimensions, count, seed, 0)
    assert np.shape(points) == (count, dimensions)
    assert all(0 <= value < 1 for row in points for value in row)
    assert points == unit_points(dimensions, count, seed, 0)


def test_more_points_begin_with_the_fewer() -> None:
    assert unit_points(3, 20, 7, 1)[:5] == unit_points(3, 5, 7, 1)


def test_points_spread_evenly() -> None:
    # 16 quasi-random points put 8 into either half of the first (base 2) axis; random ones rarely.
    for study in range(5):
        first = [row[0] for row in unit_points(3, 16, 0, study)]
        assert sum(value < 0.5 for value in first) == 8


def test_studies_and_seeds_differ() -> None:
    assert unit_points(2, 4, 0, 0) != unit_points(2, 4, 0, 1)
    assert unit_points(2, 4, 0, 0) != unit_points(2, 4, 1, 0)


def test_submissions_of_one_dimension_are_tried_at_the_same_places() -> None:
    mine = tuned_points(parse("mine", RANGE, "mine.py"), 2, 5, seed=3)
    other = tuned_points(parse("other", OTHER, "other.py"), 2, 5, seed=3)
    for study in range(2):
        for point, same in zip(mine[study], other[study], strict=True):
            assert np.log(point["lr"] / 1e-4) / np.log(1e3) == pytest.approx(same["a"])
            assert point["wd"] == pytest.approx(same["b"])


def test_a_list_is_tried_in_its_order() -> None:
    source = parse("mine", LIST, "mine.py")
    assert tuned_points(source, 2, 1, 0) == [[{"lr": 0.1}]] * 2
    assert tuned_points(source, 1, 5, 0) == [[{"lr": 0.1}, {"lr": 0.2}]]


def test_without_a_search_space_there_is_one_trial() -> None:
    assert tuned_points(parse("mine", PLAIN, "mine.py"), 3, 5, 0) == [[{}]] * 3


def test_plain_defaults_are_told_and_others_stay_in_the_file() -> None:
    source = parse("mine", RANGE, "mine.py")
    assert with_defaults(source, {"lr": 0.5}) == {"lr": 0.5, "wd": 0.1}


def test_a_hyperparameter_without_any_value_is_found() -> None:
    source = parse("mine", LIST, "mine.py")
    assert list(without_value(source, {})) == ["lr"]
    assert not without_value(source, {"lr": 0.1})
