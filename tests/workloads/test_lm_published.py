"""The language model's order of methods held against a published one."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.records import read_run
from suite import config
from tests.scoring.conftest import Run
from workloads.lm.published import LOSSES, STEPS, Place, interval, kendall, places, ranks, told

NUMBERS = st.lists(st.integers(0, 20), min_size=2, max_size=12)


@given(NUMBERS.flatmap(lambda one: st.tuples(st.just(one), st.permutations(one))))
def test_tau_counts_pairs(both: tuple[list[int], list[int]]) -> None:
    one, other = both
    pairs = [
        ((a > b) - (a < b), (c > d) - (c < d))
        for i, (a, c) in enumerate(zip(one, other, strict=True))
        for b, d in list(zip(one, other, strict=True))[:i]
    ]
    untied = math.sqrt(sum(abs(x) for x, _ in pairs) * sum(abs(y) for _, y in pairs))
    found = kendall(one, other)
    if untied:
        assert found == pytest.approx(sum(x * y for x, y in pairs) / untied)
    else:
        assert math.isnan(found)


def test_the_same_order_and_its_opposite() -> None:
    assert kendall([1, 2, 3, 4], [5, 6, 7, 9]) == 1.0
    assert kendall([1, 2, 3, 4], [9, 7, 6, 5]) == -1.0
    assert interval([1, 2, 3, 4], [5, 6, 7, 9]) == (1.0, 1.0)


def test_who_missed_stands_behind_by_what_it_came_to() -> None:
    found: dict[str, Place] = {
        "muon": (600.0, 2.2),
        "sgd": (math.inf, 2.6),
        "lion": (math.inf, 2.4),
        "soap": (500.0, 2.25),
    }
    assert ranks(found) == {"soap": 0, "muon": 1, "lion": 2, "sgd": 3}
    assert "| sgd | missed | 2.600 | 4 |" in told(found)
    after = [line.split("after ")[1].split(" [")[0] for line in told(found)[-len(STEPS) :]]
    # Until the last, Muon is ahead of SOAP after 256 steps alone.
    assert after == ["256 steps: 0.67", *(f"{steps} steps: 1.00" for steps in STEPS[1:])]


def test_a_method_counts_by_its_best_trial_and_by_its_twins(tmp_path: Path) -> None:
    run = (
        Run(tmp_path).add("lm-toy-v2", "adamw_jax", [math.inf, 30]).add("lm-toy-v2", "other", [10])
    )
    found = places(read_run(run.folder))
    assert set(found) == {"adamw"} and math.isfinite(found["adamw"][0])


def test_the_suite_races_what_is_published() -> None:
    suite = config.load("orders").suite
    names = {name.removesuffix("_jax") for name in suite.submissions}
    assert names == set(LOSSES) and set(suite.points or {}) == set(suite.submissions)
