"""Ranks claim no more than the studies show: simulated boards, and the sets by hand."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.bootstrap import FEW, Resampler
from scoring.gradathlon import Entry, score
from scoring.ranking import (
    MOST,
    Score,
    chance_of_better,
    chances_of_best,
    difference,
    ordered,
    rank_sets,
    surely_better,
)

WORKLOADS = ("s", "t", "u", "v")
GRID = 0.125


def steady(value: float, *noise: float) -> Score:
    studies = dict(enumerate(value + part for part in noise))
    return Score({}, value, studies=studies)


def false_claims(
    boards: int,
    entries: int,
    studies: int,
    seed: int,
    misses: float = 1 / 7,
    tails: float = 0.0,
) -> float:
    """The share of boards of equal entries, with ties and misses, that tell some two apart.

    With `tails`, noise is Student's t with so many degrees of freedom.
    """
    rng = np.random.default_rng(seed)
    shape = (boards, entries, len(WORKLOADS), studies)
    noise = rng.standard_t(tails, shape) if tails else rng.normal(0.0, 1.0, shape)
    times = np.ceil(np.exp(0.1 * noise) / GRID) * GRID
    times[rng.random(shape) < misses] = math.inf
    reference = {name: [dict.fromkeys(range(studies), 1.0)] for name in WORKLOADS}
    resampler = Resampler(1)
    claims = 0
    for board in times:
        scores = []
        for entry in board:
            own = {name: dict(enumerate(row)) for name, row in zip(WORKLOADS, entry, strict=True)}
            brought = Entry(own, reference, grains=dict.fromkeys(WORKLOADS, GRID))
            scores.append(score(brought, WORKLOADS, resampler))
        claims += bool(surely_better(scores).any())
    return claims / boards


@pytest.mark.parametrize("studies", [2, 3, 5])
def test_equal_entries_are_seldom_told_apart(studies: int) -> None:
    assert false_claims(60, 4, studies, seed=1) <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("studies", [2, 3, 5])
@pytest.mark.parametrize("entries", [2, 5, 10])
def test_equal_entries_are_seldom_told_apart_on_many_boards(studies: int, entries: int) -> None:
    assert false_claims(1000, entries, studies, seed=2) <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("studies", [2, 3, 5])
def test_equal_entries_with_heavy_tails_are_seldom_told_apart(studies: int) -> None:
    assert false_claims(500, 5, studies, seed=2, tails=3.0) <= 0.05


def test_what_differs_in_five_studies_is_told() -> None:
    fast = steady(1.0, 0.01, -0.01, 0.02, 0.0, -0.02)
    slow = steady(0.5, 0.0, 0.02, -0.01, 0.01, -0.02)
    assert rank_sets([fast, slow]) == [(1, 1), (2, 2)]
    found = difference(fast, slow)
    assert found.low < 0.5 < found.high
    assert found.p < 0.001


def test_a_rank_is_a_set_where_the_studies_do_not_tell() -> None:
    noise = [(0.2, -0.2, 0.1, -0.1, 0.0), (-0.1, 0.2, -0.2, 0.0, 0.1), (0.01, 0, -0.01, 0.01, 0)]
    scores = [steady(1.0, *noise[0]), steady(0.98, *noise[1]), steady(0.1, *noise[2])]
    assert rank_sets(scores) == [(1, 2), (1, 2), (3, 3)]
    assert rank_sets([]) == []


def test_one_study_claims_nothing() -> None:
    scores = [steady(1.0, 0.0), steady(0.1, 0.0)]
    assert rank_sets(scores) == [(1, 2), (1, 2)]
    assert difference(*scores).p == 1.0


@pytest.mark.parametrize("ulp", [0.0, 1e-16])
def test_differences_that_repeat_but_for_their_last_digits_claim_nothing(ulp: float) -> None:
    one = steady(1.0, 0.0, ulp, -ulp, 2 * ulp)
    other = steady(0.9, ulp, 0.0, 0.0, -ulp)
    for gap in (difference(one, other), difference(one, one)):
        assert (gap.low, gap.high, gap.p) == (-math.inf, math.inf, 1.0)
    assert rank_sets([one, other]) == [(1, 2), (1, 2)]


def test_differences_within_the_grid_of_evaluations_claim_nothing() -> None:
    one = Score({}, 0.9, studies={0: 0.9, 1: 0.9}, least_variance=0.1**2 / 12)
    other = Score({}, 0.8, studies={0: 0.8, 1: 0.8}, least_variance=0.1**2 / 12)
    assert rank_sets([one, other]) == [(1, 2), (1, 2)]


def test_the_chance_of_being_best_is_shared_by_equals() -> None:
    draws = np.array([1.0, 2.0, 3.0, 4.0])
    studies = dict.fromkeys(range(FEW), 2.5)
    scores = [Score({}, float(own[0]), own, studies) for own in (draws, draws, draws - 3.5)]
    assert chances_of_best(scores) == [0.5, 0.5, 0.0]
    assert chance_of_better(scores[0], scores[1]) == 0.5
    fewer = [dataclasses.replace(one, studies={0: 2.5, 1: 2.5}) for one in scores]
    assert chances_of_best(fewer) == [None] * 3
    assert chance_of_better(*fewer[:2]) is None
    assert chances_of_best([*scores, Score({}, 1.0)]) == [None] * 4


def test_without_uncertainty_the_order_ranks() -> None:
    assert ordered([Score({}, 0.9), Score({}, 0.9), Score({}, 0.8)]) == [(1, 2), (1, 2), (3, 3)]


@pytest.mark.parametrize("tries", [1, 3, 5])
def test_the_reference_has_as_much_luck_as_an_entry(tries: int) -> None:
    """The same method with several seeds a study scores 1, not more."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(300):
        single = np.exp(rng.normal(0.0, 0.04, (len(WORKLOADS), 5)))
        several = np.exp(rng.normal(0.0, 0.04, (len(WORKLOADS), 5, tries))).min(axis=2)
        own = {name: dict(enumerate(row)) for name, row in zip(WORKLOADS, several, strict=True)}
        reference = {
            name: [dict(enumerate(row))] for name, row in zip(WORKLOADS, single, strict=True)
        }
        entry = Entry(own, reference, dict.fromkeys(WORKLOADS, float(tries)))
        found.append(score(entry, WORKLOADS, Resampler(1)).score)
    assert float(np.mean(found)) == pytest.approx(1.0, abs=0.005)


@st.composite
def boards(draw: st.DrawFn) -> list[Score]:
    """Scores with two to six studies each, all of the same ones, some of them equal."""
    studies = draw(st.integers(2, 6))
    value = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 1.25, MOST])
    rows = draw(st.lists(st.lists(value, min_size=studies, max_size=studies), max_size=7))
    return [
        Score({}, float(np.mean(row)), studies=dict(enumerate(row)), redrawn=np.array(row))
        for row in rows
    ]


@given(scores=boards())
def test_a_rank_set_holds_the_rank_that_the_score_alone_gives(scores: list[Score]) -> None:
    plain = ordered(scores)
    for (low, high), (first, last) in zip(rank_sets(scores), plain, strict=True):
        assert 1 <= low <= last
        assert first <= high <= len(scores)


@given(scores=boards(), data=st.data())
def test_rank_sets_and_chances_go_with_their_entries(
    scores: list[Score], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(scores))))
    turned = [scores[place] for place in order]
    sets, chances = rank_sets(scores), chances_of_best(scores)
    assert rank_sets(turned) == [sets[place] for place in order]
    moved = chances_of_best(turned)
    assert moved == pytest.approx([chances[place] for place in order])
    known = [chance for chance in moved if chance is not None]
    assert sum(known) == pytest.approx(1.0 if known else 0.0)


@given(scores=boards())
def test_a_difference_turned_round_is_its_opposite(scores: list[Score]) -> None:
    for one, other in itertools.combinations(scores, 2):
        gap, back = difference(one, other), difference(other, one)
        assert (gap.mean, gap.low, gap.high) == (-back.mean, -back.high, -back.low)
        assert gap.p == back.p
        if math.isfinite(gap.low):
            assert -MOST <= gap.low <= gap.mean <= gap.high <= MOST
