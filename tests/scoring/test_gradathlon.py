from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.bootstrap import Resampler, interval
from scoring.gradathlon import (
    Entry,
    Yardstick,
    mean_score,
    score,
    weights,
    workload_score,
)
from scoring.profiles import corners
from scoring.ranking import Score

WORKLOADS = ("u", "v", "w")
DRAWS = 200

finite = st.floats(0.1, 1e4)
times = finite | st.just(math.inf)


def table(entries: st.SearchStrategy[float]) -> st.SearchStrategy[dict[str, dict[int, float]]]:
    studies = st.lists(entries, min_size=2, max_size=6).map(lambda drawn: dict(enumerate(drawn)))
    return st.fixed_dictionaries(dict.fromkeys(WORKLOADS, studies))


def scored(own: dict[str, dict[int, float]], reference: dict[str, dict[int, float]]) -> Score:
    yardstick: Yardstick = {workload: [studies] for workload, studies in reference.items()}
    return score(Entry(own, yardstick), WORKLOADS, Resampler(DRAWS))


@given(table(times), table(finite))
def test_the_score_is_the_mean_of_its_formula(own, reference) -> None:
    found = scored(own, reference)
    for workload in WORKLOADS:
        ratio = np.median(list(own[workload].values())) / np.median(
            list(reference[workload].values())
        )
        assert found.ratios[workload] == pytest.approx(ratio)
    parts = [max(0.0, (4 - ratio) / 3) for ratio in found.ratios.values()]
    assert found.score == pytest.approx(sum(parts) / 3)
    assert 0 <= found.score < 4 / 3


@given(table(finite))
def test_the_reference_scores_one_without_spread(reference) -> None:
    found = scored(reference, reference)
    assert found.score == pytest.approx(1.0)
    assert found.interval == pytest.approx((1.0, 1.0))


@given(table(times), table(finite), st.sampled_from([0.25, 2.0, 60.0]))
def test_the_unit_of_time_is_of_no_matter(own, reference, factor: float) -> None:
    def scale(what):
        return {w: {k: t * factor for k, t in studies.items()} for w, studies in what.items()}

    before, after = scored(own, reference), scored(scale(own), scale(reference))
    assert after.score == pytest.approx(before.score, abs=1e-9)
    assert after.redrawn == pytest.approx(before.redrawn, abs=1e-9)


@given(table(times), table(finite), st.sampled_from(WORKLOADS), st.data())
def test_a_faster_study_never_lowers_the_score(own, reference, workload: str, data) -> None:
    study = data.draw(st.sampled_from(sorted(own[workload])))
    faster = {**own, workload: {**own[workload], study: own[workload][study] / 2}}
    if math.isinf(own[workload][study]):
        faster[workload][study] = 1e4
    before, after = scored(own, reference), scored(faster, reference)
    assert after.score >= before.score - 1e-12
    assert np.all(after.redrawn >= before.redrawn - 1e-12)


@given(table(times), table(finite))
def test_the_order_of_studies_and_workloads_is_of_no_matter(own, reference) -> None:
    turned = {w: dict(reversed(own[w].items())) for w in reversed(WORKLOADS)}
    before, after = scored(own, reference), scored(turned, reference)
    assert after.score == before.score
    assert np.array_equal(after.redrawn, before.redrawn)


@given(table(finite), table(finite))
def test_a_workload_not_run_is_a_workload_missed(own, reference) -> None:
    missing = {w: studies for w, studies in own.items() if w != "v"}
    missed = {**own, "v": dict.fromkeys(own["v"], math.inf)}
    assert scored(missing, reference).score == scored(missed, reference).score
    assert scored(missing, reference).ratios["v"] == math.inf


@given(table(finite), table(finite), table(finite))
def test_of_several_references_the_fastest_counts(own, one, other) -> None:
    both = score(
        Entry(own, {w: [one[w], other[w]] for w in WORKLOADS}), WORKLOADS, Resampler(DRAWS)
    )
    for workload in WORKLOADS:
        ratios = [scored(own, reference).ratios[workload] for reference in (one, other)]
        assert both.ratios[workload] == pytest.approx(max(ratios))


@given(st.lists(st.floats(0.5, 6) | st.just(math.inf), min_size=1, max_size=8))
def test_the_profile_s_mean_height_is_the_score_without_its_bonus(ratios: list[float]) -> None:
    path = corners(ratios)
    area = sum(
        (right[0] - left[0]) * left[1] for left, right in itertools.pairwise(path)
    )  # heights only change at zero width
    capped = np.maximum(1.0, ratios)
    assert area / 3 == pytest.approx(float(np.mean(workload_score(capped))))
    assert [tau for tau, _ in path] == sorted(tau for tau, _ in path)
    assert path[0][0] == 1.0
    assert path[-1] == (4.0, sum(ratio <= 4 for ratio in ratios) / len(ratios))


@pytest.mark.parametrize("lonely", ["own", "reference"])
def test_one_study_gives_no_interval(lonely: str) -> None:
    own = {w: {0: 10.0, 1: 11.0} for w in WORKLOADS}
    reference = {w: {0: 10.0, 1: 12.0} for w in WORKLOADS}
    (own if lonely == "own" else reference)["v"] = {0: 10.0}
    found = scored(own, reference)
    assert found.interval is None
    assert found.score > 0


def test_a_workload_shares_its_weight_with_its_variants() -> None:
    names = ["a-toy-v1", "a-toy-v1+wide", "a-toy-v1+deep", "b-toy-v1"]
    assert weights(names) == pytest.approx(dict.fromkeys(names[:3], 1 / 6) | {"b-toy-v1": 0.5})
    own = {name: dict.fromkeys(range(3), 10.0) for name in names[:3]}
    own["b-toy-v1"] = dict.fromkeys(range(3), math.inf)
    yardstick = {name: [dict.fromkeys(range(3), 10.0)] for name in names}
    found = score(Entry(own, yardstick), names, Resampler(10))
    assert found.score == pytest.approx(0.5)
    assert found.studies[0] == pytest.approx(0.5)
    assert mean_score(found.ratios) == pytest.approx(0.5)


def test_equal_studies_give_an_interval_of_no_width() -> None:
    own = {w: dict.fromkeys(range(5), 13.0) for w in WORKLOADS}
    reference = {w: dict.fromkeys(range(3), 10.0) for w in WORKLOADS}
    found = scored(own, reference)
    assert found.interval == pytest.approx((found.score, found.score))


def test_pairing_cancels_what_a_seed_does_to_both() -> None:
    hard = {0: 10.0, 1: 20.0, 2: 40.0, 3: 15.0, 4: 30.0}
    reference = dict.fromkeys(WORKLOADS, hard)
    own = {w: {k: 1.5 * t for k, t in hard.items()} for w in WORKLOADS}
    assert scored(own, reference).interval == pytest.approx((2.5 / 3, 2.5 / 3))


def test_the_interval_of_five_studies_covers_the_truth_as_often_as_it_says() -> None:
    generator, repeats, truth = np.random.default_rng(3), 300, (4 - 1.3) / 3
    covered = 0
    for _ in range(repeats):
        draw = np.exp(0.1 * generator.standard_normal((2, 3, 5)))
        own = {w: dict(enumerate(1.3 * row)) for w, row in zip(WORKLOADS, draw[0], strict=True)}
        reference = {w: dict(enumerate(row)) for w, row in zip(WORKLOADS, draw[1], strict=True)}
        low, high = scored(own, reference).interval or (0.0, 0.0)
        covered += low <= truth <= high
    assert 0.9 <= covered / repeats <= 0.99


@given(st.lists(finite, min_size=1, max_size=7))
def test_index_zero_of_the_medians_is_the_studies_as_they_were(values: list[float]) -> None:
    medians = Resampler(50).medians(dict(enumerate(values)))
    assert medians.shape == (51,)
    assert medians[0] == np.median(values)
    assert min(values) <= medians.min() <= medians.max() <= max(values)


def test_the_percentile_interval() -> None:
    assert interval(np.arange(1001.0)) == pytest.approx((25.0, 975.0))
