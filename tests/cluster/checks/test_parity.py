"""Parity of the toy workloads' back ends, and of a back end that is wrong on purpose."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workloads
from cluster.checks import parity
from cluster.checks.parity import Parity, _compare, compare
from cluster.checks.parity.step import Step
from workloads.errors import WorkloadError

TOYS = [id for id in workloads.ids() if "-toy-" in id]
SMALL = {"rows": 2, "steps": 3}


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")


@pytest.mark.parametrize("id", TOYS)
def test_both_back_ends_of_every_toy_workload_agree(id: str) -> None:
    found = _compare(id, False, **SMALL)
    assert found.ok, found
    assert found.workload == id
    assert found.worst in workloads.get(id).parameters()
    assert not found.real_data


def dies(id: str) -> Parity:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_a_comparison_whose_process_is_ended_is_told() -> None:
    """As where a scale is too large for the machine's memory."""
    with pytest.raises(WorkloadError, match=r"^lm-standard-v2: the process .* died; .*\(--rows\)"):
        parity.apart(dies, "lm-standard-v2")


def test_a_comparison_runs_in_a_process_of_its_own() -> None:
    found = compare("homeostatic-toy-v3", rows=2, steps=3)
    assert found.ok, found


def test_no_climate_is_generated_for_a_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path))
    found = compare("climate-toy-v2", rows=2, steps=3)
    assert found.ok and not found.real_data
    assert {path.name for path in tmp_path.iterdir()} <= {"jax"}, "what JAX compiled, and no data"


def test_an_unknown_workload_is_the_callers_error() -> None:
    with pytest.raises(WorkloadError, match="unknown workload 'homeostat-toy-v1'"):
        compare("homeostat-toy-v1")


Spoil = Callable[[Step], Step]


def test_standard_scales_are_compared_in_float32_uncompiled() -> None:
    workload = workloads.get("homeostatic-standard-v3")
    ours = parity.in_float32(workload)
    assert (ours.settings.compute.dtype, ours.settings.compute.compile) == ("float32", False)
    assert workload.settings.compute.dtype == "bfloat16", "the workload itself is unchanged"


def with_nan(gradients: dict[str, Any]) -> dict[str, Any]:
    last = list(gradients)[-1]
    return gradients | {last: np.full_like(gradients[last], np.nan)}


SPOILT: dict[str, tuple[str, Spoil]] = {
    "the loss": ("loss", lambda step: replace(step, loss=step.loss * 1.0001)),
    "one gradient": (
        "gradient",
        lambda step: replace(
            step,
            gradients=step.gradients | {"layers.1.bias": step.gradients["layers.1.bias"] * 1.001},
        ),
    ),
    "a gradient that is not a number": (
        "gradient",
        lambda step: replace(step, gradients=with_nan(step.gradients)),
    ),
    "training": (
        "trained",
        lambda step: replace(step, after={k: v * 1.01 for k, v in step.after.items()}),
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_any_difference_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong, spoil = SPOILT[name]
    real = parity._both_sides

    def spoilt(*given: Any) -> Any:
        for ours, theirs in real(*given):
            yield ours, spoil(theirs)

    monkeypatch.setattr(parity, "_both_sides", spoilt)
    found = _compare("homeostatic-toy-v3", False, **SMALL)
    assert not found.ok
    assert not getattr(found, wrong) < 1e-5
    if name == "one gradient":
        assert found.worst == "layers.1.bias"


def test_a_wrong_model_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from workloads.homeostatic.model_jax import HomeostaticJax

    right = HomeostaticJax.loss

    def wrong(self: Any, params: Any, batch: Any, rng: Any) -> Any:
        return right(self, params | {"layers.0.bias": params["layers.0.bias"] + 1e-2}, batch, rng)

    monkeypatch.setattr(HomeostaticJax, "loss", wrong)
    found = _compare("homeostatic-toy-v3", False, **SMALL)
    assert not found.ok
    assert found.loss > parity.GRADIENT_TOLERANCE


def test_nothing_that_is_not_a_number_is_near_enough() -> None:
    for name in ("loss", "gradient", "trained"):
        numbers = {"loss": 0.0, "gradient": 0.0, "trained": 0.0} | {name: float("nan")}
        assert not Parity(workload="w", worst="", real_data=True, **numbers).ok
