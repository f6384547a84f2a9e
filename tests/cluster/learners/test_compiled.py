"""What is compiled is compiled before the clock starts, kept for later, and changes no bit."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import submissions
import workloads
from cluster.checks.bench import Bench
from cluster.hardware import instructions
from cluster.learners import make_learner
from cluster.learners.contract import LearnersPolicy
from cluster.learners.entry import Seeds
from cluster.spec import TrialSpec
from cluster.supervision.supervisor import supervise
from cluster.trial.warm_up import compilations, warm_learner
from scoring.ground.words import Budget
from scoring.records import Outcome, read_record, record_attempts
from submissions.source import parse
from workloads.contract import Workload

from ..conftest import Make

NAMES = (
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
    "JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES",
)


def test_compiled_code_lies_beside_the_data_by_class_of_cpu(tmp_path: Path) -> None:
    ask = (
        "import os; from cluster.process import set_environment;"
        "from scoring.ground.words import Resources; set_environment(Resources());"
        "print(os.environ['JAX_COMPILATION_CACHE_DIR'])"
    )
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    for given, expected in (
        ({}, str(tmp_path / "jax" / instructions())),
        ({NAMES[0]: "/elsewhere"}, "/elsewhere"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", ask],
            env=clean | {"GRADATHLON_CACHE": str(tmp_path)} | given,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == expected


@pytest.mark.slow
@pytest.mark.network
def test_a_trial_is_the_same_bit_by_bit_whether_or_not_its_code_was_kept(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def race(name: str) -> list[object]:
        spec = make("adamw_jax", run=tmp_path / name, budget=Budget(500, 100.0))
        assert isinstance(list(supervise(spec))[-1], Outcome)
        record = read_record(record_attempts(spec.run, spec.key)[-1])
        assert record.outcome
        lines = [(line.steps, line.metrics) for line in record.evaluations]
        return [*lines, record.outcome.end, record.outcome.extra.get("test")]

    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path / "locks"))
    kept = tmp_path / "kept"
    monkeypatch.setenv(NAMES[0], str(kept))
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "0")
    without = race("without")
    assert not list(kept.glob("*-cache"))
    monkeypatch.delenv("JAX_ENABLE_COMPILATION_CACHE")
    assert race("first") == without
    entries = {path.name: path.stat().st_mtime_ns for path in kept.glob("*-cache")}
    assert entries
    assert race("second") == without
    after = {path.name: path.stat().st_mtime_ns for path in kept.glob("*-cache")}
    assert after == entries, "the second trial compiled nothing anew"
    for path in kept.glob("*-cache"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert race("damaged") == without, "a damaged entry is compiled again"


TOYS = [id for id in workloads.ids(variants=False) if "-toy-" in id]
AVERAGES = {"torch": "schedule_free_adamw", "jax": "schedule_free_adamw_jax"}


def compiled_on_the_clock(spec: TrialSpec, workload: Workload[Any], steps: int) -> int:
    """How often anything is compiled in what a trial does while its clock runs."""
    seeds = Seeds.of(spec.seed)
    stream = workload.stream(seeds.stream)
    try:
        learner = warm_learner(spec, workload, seeds)
        policy = LearnersPolicy(learner)
        before = compilations()
        learner.begin()
        for _ in range(2):
            for _ in range(steps):
                learner.step(lambda: stream.next(policy))
            learner.prepare_evaluation()
            learner.synchronize()
            learner.resume_training()
        return compilations() - before
    finally:
        stream.close()


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("framework", sorted(AVERAGES))
@pytest.mark.parametrize("id", TOYS)
def test_nothing_is_compiled_between_start_and_end(make: Make, id: str, framework: str) -> None:
    spec = make(AVERAGES[framework], workload=id)
    assert compiled_on_the_clock(spec, workloads.get(id), 40) == 0


CHOOSING = [name for name in submissions.shipped() if name.startswith("by_") and "_jax" in name]


@pytest.mark.slow
@pytest.mark.parametrize("name", CHOOSING)
def test_no_choice_of_data_is_compiled_on_the_clock(name: str) -> None:
    bench = Bench(submissions.find(name), "homeostatic-toy-v3")
    batches = [bench.workload.batch_like(seed) for seed in range(3)]
    learner = make_learner("jax", bench.entry({}), batches)
    before = compilations()
    learner.begin()
    for seed in range(30):  # a tenth of which `by_repetition` takes again
        learner.step(functools.partial(bench.workload.batch_like, seed))
    assert compilations() == before


OWN = """
import torch

OBJECT
def submission(params, workload, lr=0.01):
    optimizer = MADE
    optimizer.step = torch.compile(optimizer.step, backend="eager")
    return optimizer
"""
CUSTOM = """
class Mine(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["mean"], state["steps"] = torch.zeros_like(p), 0
                state["steps"] += 1
                state["mean"].lerp_(p.grad, 0.1)
                p.add_(state["mean"], alpha=-group["lr"])
"""
BY_TENSORS = """
import torch

@torch.compile(backend="eager")
def smaller(gradient):
    return gradient / (1 + gradient.norm())

class Mine(torch.optim.SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = smaller(p.grad)
        return super().step()

def submission(params, lr=0.01):
    return Mine(params, lr=lr)
"""
TORCHS = {
    "adamw": "torch.optim.AdamW(params, lr=lr)",
    "adam": "torch.optim.Adam(params, lr=lr, weight_decay=0.1)",
    "momentum": "torch.optim.SGD(params, lr=lr, momentum=0.9, nesterov=True, weight_decay=0.1)",
}
COMPILED = {
    **{name: OWN.replace("MADE", made).replace("OBJECT", "") for name, made in TORCHS.items()},
    "custom": OWN.replace("MADE", "Mine(params, lr)").replace("OBJECT", CUSTOM),
    "by tensors": BY_TENSORS,
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.parametrize("kind", sorted(COMPILED))
def test_what_torch_compiles_for_a_submission_is_warmed_up_and_begins_afresh(kind: str) -> None:
    text = COMPILED[kind]
    plain = text.replace('torch.compile(optimizer.step, backend="eager")', "optimizer.step")
    weights = []
    for source in (text, plain.replace('@torch.compile(backend="eager")', "")):
        torch._dynamo.reset()
        bench = Bench(parse("compiles", source, "compiles.py"), "homeostatic-toy-v3")
        batches = [bench.workload.batch_like(seed) for seed in range(3)]
        learner = make_learner("torch", bench.entry({}), batches)
        before = compilations()
        learner.begin()
        for seed in range(5):
            learner.step(functools.partial(bench.workload.batch_like, seed))
        assert compilations() == before
        weights.append(learner.weights())
    for name, value in weights[0].items():
        moved = np.linalg.norm(weights[1][name] - bench.weights[name])
        assert np.linalg.norm(value - weights[1][name]) < 0.01 * moved
