"""Small inputs that went wrong once: what `check` says of each kind, where they are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.conformance import DEFAULT_WORKLOAD, Finding, check
from submissions.source import find

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "submissions"
PASS = [
    "accumulates_16",
    "changes_directory",
    "data_echoing",
    "deque_in_state",
    "leaves_thread",
    "multi_transform_by_role_jax",
    "multisteps_raw_jax",
    "plateau",
    "two_optimizers",
    "two_schedulers",
]
FAIL = {
    "accumulates_by_attribute": "is not in its state",
    "casts_weights": "is bfloat16 (400, 784), the workload's is float32",
    "clips_by_hook": "let the hook return nothing",
    "one_cycle": "`workload.max_steps`",
    "raises_keyboard_interrupt_at_init": "KeyboardInterrupt",
    "takes_cores": "torch runs 2 threads",
    "takes_threads": "torch runs 8 threads",
    "widens_model": "the workload's is float32 (400, 784)",
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside this checkout"),
]


def findings(name: str, *ids: str) -> list[Finding]:
    return check(find(str(CASES / f"{name}.py")), ids or (DEFAULT_WORKLOAD,))


@pytest.mark.parametrize("name", PASS)
def test_what_is_right_passes(name: str) -> None:
    assert [finding for finding in findings(name) if not finding.ok] == []


@pytest.mark.parametrize("name", FAIL)
def test_what_is_wrong_is_named(name: str) -> None:
    last = findings(name)[-1]
    assert not last.ok
    assert FAIL[name] in last.detail


def test_what_sets_the_gradient_mode_is_named() -> None:
    told = {finding.title: finding.detail for finding in findings("switches_gradients_off")}
    assert "calls set_grad_enabled" in told["a reviewer will look at"]


def test_what_diverges_on_random_pixels_is_tried_on_another_family() -> None:
    found = findings("keeps_hard_half", DEFAULT_WORKLOAD, "lifelong-toy-v1")
    assert [finding for finding in found if not finding.ok] == []
