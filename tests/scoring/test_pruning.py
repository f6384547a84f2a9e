from __future__ import annotations

import math
import os
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.gradathlon import workload_score
from scoring.ground.words import Budget
from scoring.pruning import Known, Trial, by_median, by_reference, limit, replay
from scoring.records import Evaluation
from scoring.times import time_to_result
from tests.scoring.conftest import TARGET, header

_BESIDE = Path(__file__).parents[2] / "../shared/reference/algoperf"
PUBLISHED = Path(os.environ.get("ALGOPERF_LOGS", _BESIDE)) / "v05_external_times.csv.gz"

times = st.one_of(st.sampled_from([1.0, 2.0, 3.9, 4.0, 4.1, math.inf]), st.floats(0.1, 10))
races = st.lists(st.lists(times, min_size=1, max_size=4), min_size=1, max_size=6)


def scored(studies: dict[int, float], reference: float) -> float:
    return float(workload_score(np.array(np.median(list(studies.values())) / reference)))


@given(races, st.floats(0.5, 3), st.randoms(use_true_random=False))
def test_the_score_of_a_pruned_race_is_that_of_the_full_one(
    race: list[list[float]], reference: float, rng: random.Random
) -> None:
    trials = [Trial(k, time, 10.0) for k, study in enumerate(race) for time in study]
    rng.shuffle(trials)
    full = {study: min(own) for study, own in enumerate(race)}
    pruned = replay(trials, len(race), reference)
    assert scored(pruned.times, reference) == scored(full, reference)
    assert min(pruned.saved.values()) >= 0


def test_a_median_that_is_settled_stops_the_rest() -> None:
    assert by_median(Known(3, 2, {0: 5.0, 1: 7.0}, frozenset({0, 1}), 1.0)) == 7.0
    assert by_median(Known(3, 2, {0: math.inf, 1: math.inf}, frozenset({0, 1}), 1.0)) == 0.0
    assert by_median(Known(5, 2, {0: 5.0, 1: 7.0}, frozenset({0, 1}), 1.0)) == math.inf


def test_with_an_even_number_of_studies_a_slow_one_can_still_count() -> None:
    assert by_reference(Known(3, 0, {}, frozenset(), 2.0)) == 8.0
    assert by_reference(Known(2, 0, {}, frozenset(), 2.0)) == 16.0


@pytest.mark.skipif(not PUBLISHED.exists(), reason="AlgoPerf's published times are not here")
def test_replayed_on_the_published_logs_no_score_moves_and_hours_are_saved() -> None:
    rows = pd.read_csv(PUBLISHED).query("kind == 'base' and status == 'ok'")
    rows = rows.sort_values(["study", "trial"])
    fastest = rows.groupby(["submission", "workload", "study"])["time_to_target_s"].min()
    medians = fastest.groupby(["submission", "workload"]).median()
    saved: dict[str, float] = {}
    spent = 0.0
    for (name, workload), cell in rows.groupby(["submission", "workload"]):
        reference = medians.get(("baseline", workload), math.inf)
        if not math.isfinite(reference):
            continue
        numbers = {study: place for place, study in enumerate(sorted(cell["study"].unique()))}
        trials = [
            Trial(numbers[row.study], row.time_to_target_s, row.last_time_s)
            for row in cell.itertuples()
        ]
        pruned = replay(trials, len(numbers), reference)
        full = {numbers[study]: time for study, time in fastest[name, workload].items()}
        assert scored(pruned.times, reference) == pytest.approx(scored(full, reference))
        spent += sum(min(one.ran, one.time) for one in trials)
        for rule, seconds in pruned.saved.items():
            saved[rule] = saved.get(rule, 0.0) + seconds
    print({rule: round(seconds / 3600) for rule, seconds in saved.items()}, round(spent / 3600))
    assert 0 < sum(saved.values()) < spent
    assert saved["fastest of the study"] > saved["reference"]


def evaluated(values: list[float], pace: float) -> list[Evaluation]:
    return [
        Evaluation(10 * n, pace * n, pace * n, {TARGET.metric: value})
        for n, value in enumerate(values, start=1)
    ]


def raced(seen: list[Evaluation], stop: float) -> tuple[float, list[Evaluation]]:
    """A trial as the cluster ends it: at its hit, or at the first evaluation from the stop on."""
    head = header(budget=Budget(10**6, 1e6))
    for count, one in enumerate(seen, start=1):
        if TARGET.met_by(one.metrics[TARGET.metric]) or one.wall_s >= stop:
            seen = seen[:count]
            break
    return time_to_result(head, seen).on("wall"), seen


trials_of = st.lists(
    st.tuples(st.lists(st.floats(0, 3), min_size=1, max_size=6), st.floats(0.2, 2)),
    min_size=1,
    max_size=4,
)


@given(st.lists(trials_of, min_size=1, max_size=5), st.floats(0.3, 3), st.randoms())
def test_times_read_off_between_evaluations_are_pruned_exactly(
    race: list[list[tuple[list[float], float]]], reference: float, rng: random.Random
) -> None:
    left = Counter({study: len(own) for study, own in enumerate(race)})
    order = [(study, *one) for study, own in enumerate(race) for one in own]
    rng.shuffle(order)
    full = dict.fromkeys(left, math.inf)
    pruned: dict[int, float] = {}
    for study, values, pace in order:
        seen = evaluated(values, pace)
        full[study] = min(full[study], raced(seen, math.inf)[0])
        ended = frozenset(one for one, count in left.items() if not count)
        stop, _ = limit(Known(len(race), study, pruned, ended, reference))
        time, kept = raced(seen, stop)
        assert len(kept) <= len(seen)
        pruned[study] = min(pruned.get(study, math.inf), time)
        left[study] -= 1
    assert scored(pruned, reference) == scored(full, reference)
