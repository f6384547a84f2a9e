"""Norms, ranks and dormant units: numbers whose answers are known."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workloads
from workloads.contract import Judged, Stream, Weights, Workload
from workloads.diagnostics import diagnose, effective_rank, is_due, singular_values
from workloads.metric import DIAGNOSTICS

NO_STREAM = cast(Stream, None)


def judged(workload: Workload, weights: Weights, answers: dict[str, Any] | None = None) -> Judged:
    def unasked(batch: Any) -> Any:
        raise AssertionError("diagnostics measure nothing that is judged")

    inspect = None if answers is None else lambda batch: answers
    return Judged(unasked, unasked, lambda: weights, inspect)


def probed(monkeypatch: pytest.MonkeyPatch) -> Workload:
    workload = workloads.get("homeostatic-toy-v3")
    monkeypatch.setattr(workload, "probe", lambda stream: workload.batch_like())
    return workload


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_singular_values_are_those_of_the_decomposition(rows: int, columns: int, seed: int) -> None:
    matrix = np.random.default_rng(seed).normal(size=(rows, columns))
    expected = np.linalg.svd(matrix, compute_uv=False)[::-1]
    np.testing.assert_allclose(singular_values(matrix), expected, rtol=1e-6, atol=1e-6)


@given(st.integers(1, 6), st.integers(1, 6), st.floats(1e-3, 1e3))
def test_as_many_equal_values_as_there_are_make_that_rank(
    some: int, none: int, size: float
) -> None:
    values = np.array([0.0] * none + [size] * some)
    assert effective_rank(values, some + none) == pytest.approx(some / (some + none))


def test_a_rank_of_nothing_or_of_no_number_is_none() -> None:
    assert math.isnan(effective_rank(np.zeros(3), 3))
    assert math.isnan(effective_rank(np.array([1.0, np.nan]), 2))
    assert math.isnan(effective_rank(np.array([1.0, np.inf]), 2))


def test_weights_are_measured_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = probed(monkeypatch)
    weights = {
        name: np.zeros(spec.shape, np.float32) for name, spec in workload.parameters().items()
    }
    matrices = [name for name, spec in workload.parameters().items() if len(spec.shape) == 2]
    for name in matrices:
        np.fill_diagonal(weights[name], 1.0)
    weights[matrices[-1]] *= 3.0
    weights[matrices[0].replace("weight", "bias")][0] = 4.0
    found = diagnose(workload, judged(workload, weights), NO_STREAM)
    ones = sum(min(weights[name].shape) for name in matrices[:-1])
    whole = math.sqrt(ones + 9 * min(weights[matrices[-1]].shape) + 16)
    assert found == pytest.approx(
        {
            DIAGNOSTICS + "weight_norm": whole,
            DIAGNOSTICS + "spectral_norm": 3.0,
            DIAGNOSTICS + "effective_rank": 1.0,
        }
    )


def test_units_far_below_their_layer_are_dormant(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = probed(monkeypatch)
    answers = {
        "activity0": np.array([0.0, 1.0, 1.0, 0.01]),
        "activity1": np.array([5.0, 5.0, 5.0, 4.0]),
        "features": np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]),
        "gradient_norm": np.float32(2.0),
    }
    weights = workload.initial_weights(0)
    found = diagnose(workload, judged(workload, weights, answers), NO_STREAM)
    assert found[DIAGNOSTICS + "dormant_units"] == 2 / 8
    assert found[DIAGNOSTICS + "feature_rank"] == pytest.approx(1.0)
    assert found[DIAGNOSTICS + "gradient_norm"] == 2.0
    assert all(name.startswith(DIAGNOSTICS) for name in found)


@pytest.mark.parametrize("broken", [np.nan, np.inf, 3e38])
def test_of_broken_weights_numbers_are_none_and_nothing_is_raised(
    broken: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    workload = probed(monkeypatch)
    weights = workload.initial_weights(0)
    weights[next(iter(weights))][:2] = broken
    answers = {
        "activity0": np.array([broken, 1.0]),
        "features": np.full((3, 2), broken),
        "attention_logit": np.float32(broken),
    }
    found = diagnose(workload, judged(workload, weights, answers), NO_STREAM)
    assert not math.isfinite(found[DIAGNOSTICS + "spectral_norm"]) or broken == 3e38
    assert DIAGNOSTICS + "dormant_units" in found


def test_long_horizons_are_not_looked_at_every_time() -> None:
    toy, standard = workloads.get("lm-toy-v2"), workloads.get("homeostatic-standard-v3")
    assert all(is_due(toy, steps) for steps in range(50, 2000, 50))
    period = standard.settings.evaluation_period
    count = standard.settings.step_hint // period
    due = [number for number in range(1, count + 1) if is_due(standard, number * period)]
    assert 10 <= len(due) < 20
