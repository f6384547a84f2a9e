"""Small inputs that went wrong once: what `check` and a short trial say of each, where at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.checks.conformance import DEFAULT_WORKLOAD, Finding, check, default_workloads
from cluster.supervision.supervisor import supervise
from scoring.ground.words import Budget
from scoring.records import Outcome, Record, read_record, record_attempts
from submissions.source import find

from ..conftest import METRIC, Make

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases" / "submissions"
PASS = [
    "accumulates_16",
    "lbfgs_closure",
    "lbfgs_without_closure_word",
    "rolls_back_one_bad_step",
    "schedule_free_without_eval_jax",
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
    "eval_params_beside_torch": "never called?",
    "refunds_by_crash": "StopIteration",
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
    return list(check(find(str(CASES / f"{name}.py")), ids or (DEFAULT_WORKLOAD,)))


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
    assert "calls set_grad_enabled" in told["for review"]


def test_what_diverges_on_random_pixels_is_tried_on_another_family() -> None:
    found = findings("keeps_hard_half", DEFAULT_WORKLOAD, "lifelong-toy-v3")
    assert [finding for finding in found if not finding.ok] == []


def test_muon_on_hidden_matrices_takes_the_shapes_of_every_family() -> None:
    found = findings("muon_on_weights", *default_workloads())
    assert [finding for finding in found if not finding.ok] == []


STEPS = 800
ENDS = {
    "casts_weights": "is bfloat16 (400, 784), the workload's is float32",
    "eval_params_beside_torch": "RuntimeError: never called?",
    "exits": "SystemExit: 7",
    "exits_at_once": "its process exited by itself: exit code 7",
    "forges_a_line": "no attribute 'running'",  # which the clock once had
    "hangs_in_python": "did not finish",
    "patches_torch": "ZeroDivisionError",
    "raises_generator_exit": "GeneratorExit",
    "raises_keyboard_interrupt": "KeyboardInterrupt",
    "raises_keyboard_interrupt_at_init": "KeyboardInterrupt",
    "segfaults": "its process was killed by SIGSEGV",
    "slows_the_clock": "KeyError: 'cluster.clock'",  # where the clock once was
    "takes_cores": "the submission changed what the race fixes: it runs on cores",
    "takes_threads": "the submission changed what the race fixes: torch runs 8 threads",
    "widens_model": "is float32 (800, 784), the workload's is float32",
}
"""How a trial fails, and nothing but it."""
TELL = {
    "changes_directory": ("changed_directory", "/"),
    "forks_a_child": ("leftover_processes", 1),
    "leaves_thread": ("leftover_threads", 1),
}
"""What goes on, and what its outcome tells."""
GO_ON = [
    "accumulates_16",
    "data_echoing",
    "deque_in_state",
    "eats_memory",
    "keeps_hard_half",
    "lbfgs_closure",
    "lbfgs_without_closure_word",
    "lazy_eval_params",
    "learns_then_predicts",
    "multi_transform_by_role_jax",
    "multisteps_raw_jax",
    "plateau",
    "prints_a_million_lines",
    "relabels",
    "rolls_back_one_bad_step",
    "same_batch_for_ever",
    "schedule_free_without_eval_jax",
    "trims_batch_jax",
    "trims_batch_torch",
    "two_schedulers",
    "works_in_train",
]
GAINS_NOTHING = ("data_echoing", "learns_then_predicts", "relabels", "same_batch_for_ever")
"""Which once made the metric of the stream their own, and met its target by then."""


def raced(make: Make, name: str) -> Record:
    spec = make(name, (CASES / f"{name}.py").read_text(), budget=Budget(STEPS, 60.0), target=0.93)
    outcome = list(supervise(spec))[-1]
    assert isinstance(outcome, Outcome)
    return read_record(record_attempts(spec.run, spec.key)[-1])


@pytest.mark.parametrize("name", ENDS)
def test_what_breaks_ends_its_own_trial_with_its_reason(
    make: Make, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path / "locks"))
    outcome = raced(make, name).outcome
    assert outcome
    assert outcome.end == "failed"
    assert ENDS[name] in outcome.reason
    assert "\n" not in outcome.reason
    neighbour = raced(make, "trims_batch_torch").outcome
    assert neighbour
    assert neighbour.end == "budget"


def test_a_sleep_in_c_is_cut_short_by_the_alarm_and_has_spent_its_budget(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path / "locks"))
    record = raced(make, "hangs_holding_the_gil")
    assert record.outcome
    assert record.outcome.end == "budget"
    assert record.outcome.reason.startswith("60 s on the wall clock are spent")
    assert record.outcome.steps < STEPS


@pytest.mark.parametrize("name", [*GO_ON, *TELL])
def test_what_goes_on_gains_nothing_and_is_told(
    make: Make, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path / "locks"))
    record = raced(make, name)
    assert record.outcome
    # Without a line search, whether L-BFGS blows up hangs on the last bits, and so on the CPU.
    assert record.outcome.end == "budget" or name == "lbfgs_closure"
    if name in TELL:
        key, told = TELL[name]
        found = record.outcome.extra[key]
        assert found >= told if isinstance(told, int) else told in found
    if name in GAINS_NOTHING:
        assert record.evaluations[-1].metrics.get(METRIC, 0.0) < 0.93


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_what_sleeps_in_submission_pays_for_it(
    make: Make, framework: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path / "locks"))
    assert raced(make, f"sleeps_in_submission_{framework}").evaluations[0].wall_s > 6
