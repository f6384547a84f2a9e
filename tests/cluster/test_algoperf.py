"""AlgoPerf's submission files train, resume and end like any other submission."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.checks.bench import Bench
from cluster.checks.conformance import check_here
from cluster.checks.review import refuse_missing_imports
from cluster.spec import TrialSpec
from cluster.trial.loop import run_trial
from cluster.trial.settings import with_settings
from scoring.ground.words import Budget
from scoring.records import Outcome, read_record, record_attempts
from submissions.contract import SubmissionError
from submissions.load import execute
from submissions.source import find

FILES = Path(__file__).parents[1] / "submissions" / "algoperf"
WORKLOAD = "homeostatic-toy-v3"
# JAX compiles anew for each learner that a check makes.
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("jax_external", "jax_self")]
Make = Callable[..., TrialSpec]

NATIVE_TORCH = """
import torch

def submission(params, workload, lr=0.002, weight_decay=0.05):
    nadam = torch.optim.NAdam(
        params, lr=lr, betas=(1.0 - 0.1, 0.99), weight_decay=weight_decay,
        decoupled_weight_decay=True,
    )
    iters = max(1, int(0.001 * workload.step_hint))
    return nadam, torch.optim.lr_scheduler.LinearLR(nadam, start_factor=0.1, total_iters=iters)
"""
NATIVE_JAX = """
import optax

def submission(lr=1e-3, weight_decay=0.1):
    return optax.adamw(lr, weight_decay=weight_decay)
"""


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")


@pytest.mark.parametrize(
    ("name", "native", "point"),
    [
        ("torch_external", NATIVE_TORCH, {}),
        ("jax_external", NATIVE_JAX, {"learning_rate": 1e-3, "weight_decay": 0.1}),
    ],
)
def test_the_same_algorithm_in_either_interface(
    tmp_path: Path, name: str, native: str, point: dict[str, Any]
) -> None:
    (tmp_path / "native.py").write_text(native)
    bench = Bench(find(str(tmp_path / "native.py")), WORKLOAD)
    theirs, ours = Bench(find(str(FILES / name)), WORKLOAD).run(point, 4), bench.run({}, 4)
    for key, value in ours.items():
        # Adam's first steps follow the sign of a gradient, however small: one weight may differ.
        apart, moved = theirs[key] - value, value - bench.weights[key]
        assert np.linalg.norm(apart) < 1e-3 * np.linalg.norm(moved), key


@pytest.mark.parametrize("name", ["torch_external", "torch_self", "torch_many", *SLOW])
def test_they_pass_the_check(name: str) -> None:
    findings = check_here(find(str(FILES / name)), [WORKLOAD])
    assert [finding for finding in findings if not finding.ok] == []
    assert "a checkpoint resumes exactly" in [finding.title for finding in findings]


@pytest.mark.parametrize("name", ["torch_self", *SLOW])
def test_every_supervised_family_and_no_other(name: str) -> None:
    source = find(str(FILES / name))
    for family in ("lm-toy-v2", "recommender-toy-v3", "lifelong-toy-v3", "climate-toy-v2"):
        after = Bench(source, family).run({}, 2)
        assert all(np.isfinite(value).all() for value in after.values()), family
    with pytest.raises(SubmissionError, match="race it on a supervised workload"):
        Bench(source, "rl_nap-toy-v3").run({}, 1)


def test_a_file_that_has_trained_enough_ends_its_trial(make: Make) -> None:
    spec = make(source=find(str(FILES / "torch_self")), budget=Budget(500, 100.0))
    *_, outcome = run_trial(spec)
    assert isinstance(outcome, Outcome)
    assert outcome.end == "budget", outcome.reason
    assert outcome.steps == 40
    assert outcome.reason.endswith("at step 40: 40 steps are enough")
    assert "test" in outcome.extra


def test_every_batch_of_an_update_is_a_step(make: Make) -> None:
    """Fourteen an update: seven steps on batches twice the usual."""
    spec = make(source=find(str(FILES / "torch_many")), budget=Budget(500, 100.0), target=2.0)
    *_, outcome = run_trial(with_settings(spec))
    assert isinstance(outcome, Outcome)
    assert (outcome.end, outcome.reason) == ("budget", "500 steps are spent"), outcome.reason
    record = read_record(record_attempts(spec.run, spec.key)[-1])
    assert record.header.steps_are == "batches"
    assert [line.steps for line in record.evaluations] == [210, 406]
    first, second = (line.metrics["train/loss"] for line in record.evaluations)
    assert 0.1 < second < first < 3.5, "the mean over updates"


def test_words_for_another_machine_are_told() -> None:
    findings = check_here(find(str(FILES / "torch_many")), [WORKLOAD])
    assert [finding for finding in findings if not finding.ok] == []
    (told,) = (finding for finding in findings if "AlgoPerf's machine" in finding.title)
    assert "submission.py:8: num_trainers_per_group=8 becomes 1" in told.detail


def test_what_is_not_installed_is_refused_before_the_race(tmp_path: Path) -> None:
    text = (FILES / "torch_many" / "submission.py").read_text()
    (tmp_path / "submission.py").write_text(f"import not_there_either\n{text}")
    (tmp_path / "group.py").write_text("class Group: ...\n")
    refuse_missing_imports(find(str(FILES / "torch_many")))
    with pytest.raises(SubmissionError, match=r":1: imports not_there_either, which is not inst"):
        refuse_missing_imports(find(str(tmp_path)))


def test_a_file_of_weights_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (FILES / "torch_many" / "submission.py").read_text()
    (tmp_path / "submission.py").write_text(
        f"from pathlib import Path\n{text}\n"
        "assert Path(__file__).with_name('theta').read_text() == '7'\n"
    )
    (tmp_path / "group.py").write_text((FILES / "torch_many" / "group.py").read_text())
    (tmp_path / "theta").write_text("7")
    monkeypatch.chdir(tmp_path.parent)
    source = find(f"./{tmp_path.name}")
    monkeypatch.chdir("/")
    execute(source)


def test_training_goes_on_from_the_weights_that_were_evaluated() -> None:
    bench = Bench(find(str(FILES / "torch_self")), WORKLOAD)
    alone, evaluated = bench.run({}, 6), bench.run({}, 6, (3,))
    assert any(not np.array_equal(alone[key], evaluated[key]) for key in alone)


@pytest.mark.parametrize("family", ["homeostatic-toy-v3", "lm-toy-v2", "recommender-toy-v3"])
def test_smoothing_is_the_same_in_both_frameworks(family: str) -> None:
    """And is that of labels of which a share is given to all classes alike."""
    import jax
    import torch
    from torch.nn import functional

    import workloads

    workload = workloads.get(family)
    weights, batch = workload.initial_weights(0), workload.batch_like(0)
    if "known" in batch:
        batch["known"][:] = 0  # all other films are wrong answers, as all other classes are
    tensors = {name: torch.from_numpy(value) for name, value in batch.items()}
    model = workload.torch_model()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(weights[name]))
        plain, _ = model.loss(tensors, torch.Generator())
        shared, sums = model.loss(tensors, torch.Generator(), 0.2)  # type: ignore[call-arg]
        logits = model.predict(tensors)["logits"].flatten(0, -2)
    labels = batch["tokens"][:, 1:] if "tokens" in batch else batch.get("label", batch.get("item"))
    nats = functional.cross_entropy(logits, torch.from_numpy(labels).long().flatten())
    target = torch.from_numpy(labels).long().flatten()
    wanted = functional.cross_entropy(logits, target, label_smoothing=0.2)
    assert float(shared - plain) == pytest.approx(float(wanted - nats), abs=1e-4)
    assert float(sums["loss"]) == pytest.approx(float(nats), rel=1e-5), "by-products are plain"
    loss = workload.jax_model().loss
    traced, _ = jax.jit(loss)(weights, batch, jax.random.key(0), 0.2)  # type: ignore[call-arg]
    assert float(traced) == pytest.approx(float(shared), rel=1e-5)
    assert float(loss(weights, batch, jax.random.key(0))[0]) == pytest.approx(
        float(plain), rel=1e-5
    )


def test_given_more_steps_it_is_told_the_mean_of_the_updates_since(make: Make) -> None:
    """An update's many steps end a trial between evaluations, and its sums with its process."""
    many = find(str(FILES / "torch_many"))
    whole = make(source=many, study=1, budget=Budget(250, 100.0))
    for spec in (whole, make(source=many, budget=Budget(100, 100.0))):
        *_, outcome = run_trial(with_settings(spec))
        assert isinstance(outcome, Outcome)
    assert outcome.steps == 112
    *_, outcome = run_trial(with_settings(make(source=many, budget=Budget(250, 100.0))))
    losses = [
        read_record(record_attempts(spec.run, spec.key)[-1]).evaluations[0].metrics["train/loss"]
        for spec in (spec, whole)
    ]
    assert 0.75 < losses[0] / losses[1] < 1, "of seven later updates, and of all fifteen"
