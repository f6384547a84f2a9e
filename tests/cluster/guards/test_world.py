"""What a submission does to the world around it ends its trial, or is told; no other is harmed."""

from __future__ import annotations

import os
import threading

import pytest
import torch

import cluster
from cluster.guards.world import COPY
from scoring.ground.words import Budget
from scoring.records import Outcome

from ..conftest import Make

pytestmark = pytest.mark.network

TEXT = """
import os, threading, time
import torch

class Opt(torch.optim.SGD):
    n = 0
    def step(self, closure=None):
        Opt.n += 1
        if Opt.n == 50:
            WHAT
        return super().step(closure)

def submission(params, lr=0.01):
    return Opt(params, lr=lr)
"""
TAKES = {
    "torch.set_num_threads(2)": "torch runs 2 threads",
    "torch.set_default_dtype(torch.float64)": "the default dtype is torch.float64",
    "torch.set_float32_matmul_precision('medium')": "multiplied in 'medium' precision",
    "torch.use_deterministic_algorithms(True)": "algorithms are deterministic",
    "torch.set_flush_denormal(True)": "denormals are flushed",
    "torch.set_grad_enabled(False)": "gradients are switched off",
    "torch.autocast('cpu', dtype=torch.bfloat16).__enter__()": "autocast is switched on",
    "torch.set_default_device('meta')": "the default device is meta",
    "torch.backends.mkldnn.matmul.fp32_precision = 'bf16'": "matmul.fp32_precision is 'bf16'",
    "torch.backends.fp32_precision = 'tf32'": "torch.backends.fp32_precision is 'tf32'",
    "from torch.overrides import TorchFunctionMode as M; M().__enter__()": "every torch operation",
    "torch.eq = torch.Tensor.__eq__ = None": "torch.eq, torch.Tensor.__eq__ is not torch's own",
    "import gc; gc.callbacks.append(lambda *_: None)": "runs at every garbage collection",
    "import signal as s; s.setitimer(s.ITIMER_PROF, 1e3)": "a timer interrupts the trial",
    "torch.nn.modules.module.register_module_forward_hook(len)": "at every module's call",
    "import sys; sys.setprofile(lambda *_: None)": "runs at every call",
    "torch.optim.AdamW.step = torch.nn.functional.cross_entropy = None": "NoneType",
}

BUDGET = Budget(200, 100.0)


def race(make: Make, *texts: str) -> list[Outcome]:
    specs = [
        make("odd", text, trial=k, budget=BUDGET, clock="steps") for k, text in enumerate(texts)
    ]
    return [done.outcome for done in cluster.run_all(specs, executor="in_process")]


def test_what_changes_the_race_ends_the_trial_and_not_the_next(make: Make) -> None:
    whats = [what for what in TAKES if "flush" not in what or torch.set_flush_denormal(False)]
    *odd, after = race(make, *(TEXT.replace("WHAT", what) for what in (*whats, "pass")))
    for number, (what, outcome) in enumerate(zip(whats, odd, strict=True)):
        assert outcome.end == "failed", what
        assert TAKES[what] in outcome.reason
        assert "\n" not in outcome.reason
        for earlier in whats[:number]:
            assert TAKES[earlier] not in outcome.reason, "an earlier trial's is met here"
    assert after.end == "budget"
    assert callable(torch.optim.AdamW.step), "inherited, and hidden by an attribute of its own"


ALONE = """
import contextlib, os, torch

@contextlib.contextmanager
def lower():
    torch.backends.mkldnn.matmul.fp32_precision = 'bf16'
    yield
    torch.backends.mkldnn.matmul.fp32_precision = 'ieee'

class Mine:
    def init(self, params):
        return {}
    def update(self, params, state, batch, problem):
        with AROUND:
            _, gradients = problem.value_and_grad(WEIGHTS, batch)
        for name, p in params.items():
            p.sub_(0.01 * gradients[name].float())
        return state

def submission(params):
    return Mine()
"""
NOTHING = "contextlib.nullcontext()"
LESS = {
    "torch.autocast('cpu', dtype=torch.bfloat16)": "autocast is switched on",
    "lower()": "matrices are multiplied in 'mixed' precision, torch.backends.mkldnn.matmul",
}


@pytest.mark.parametrize("around", LESS)
def test_a_loss_of_its_own_is_taken_in_the_workloads_precision(make: Make, around: str) -> None:
    text = ALONE.replace("WEIGHTS", "params")
    odd, after = race(make, text.replace("AROUND", around), text.replace("AROUND", NOTHING))
    assert odd.end == "failed"
    assert f"a loss is computed where {LESS[around]}" in odd.reason
    assert after.end == "budget"


def test_losses_are_taken_at_float32_weights(make: Make) -> None:
    halved = "{n: p.bfloat16().requires_grad_() for n, p in params.items()}"
    (odd,) = race(make, ALONE.replace("AROUND", NOTHING).replace("WEIGHTS", halved))
    assert odd.end == "failed"
    assert "a loss is computed where 'layers.0.weight' is torch.bfloat16" in odd.reason


def test_a_copy_that_comes_back_from_a_fork_takes_no_part(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, fork, copies = os.getpid(), os.fork, list[int]()

    def noted() -> int:
        copies.append(fork())
        return copies[-1]

    monkeypatch.setattr(os, "fork", noted)
    (forked,) = race(make, TEXT.replace("WHAT", "os.fork()"))
    assert os.getpid() == before, "the copy ended itself"
    assert forked.end == "budget"
    # These alone: other tests have children, too.
    assert {os.waitpid(copy, 0)[1] >> 8 for copy in copies} == {COPY}


def test_cores_that_were_not_lent_are_noticed(make: Make) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    (odd,) = race(make, TEXT.replace("WHAT", "os.sched_setaffinity(0, range(os.cpu_count()))"))
    assert odd.end == "failed"
    assert "it runs on cores 0," in odd.reason


def test_what_lies_about_is_told_and_tidied(make: Make) -> None:
    folder, before = os.getcwd(), set(threading.enumerate())
    spin = "threading.Thread(target=time.sleep, args=(5,), daemon=True).start(); os.chdir('/')"
    ignores = "import signal as s; s.signal(40, s.SIG_IGN); s.signal(s.SIGUSR2, s.SIG_IGN)"
    (odd,) = race(make, TEXT.replace("WHAT", f"{spin}; {ignores}"))
    assert odd.end == "budget"
    assert odd.extra["leftover_threads"] == 1
    assert odd.extra["changed_directory"] == "/"
    assert sorted(odd.extra["changed_signals"]) == ["SIGUSR2", "signal 40"]
    assert os.getcwd() == folder
    for thread in set(threading.enumerate()) - before:
        thread.join(10)


def test_jax_settings_are_the_races_too(make: Make) -> None:
    text = (
        "import jax, optax\njax.config.update('jax_enable_x64', True)\n"
        "def submission(lr=0.01):\n    return optax.sgd(lr)\n"
    )
    odd, after = race(make, text, text.replace("True", "False"))
    assert odd.end == "failed"
    assert "jax_enable_x64 is True" in odd.reason
    assert after.end == "budget"


OWN_JAX = """
import jax

class Mine:
    def init(self, params):
        return {}
    def update(self, params, state, batch, problem):
        with jax.default_matmul_precision("bfloat16"):
            _, gradients = problem.value_and_grad(params, batch)
        return jax.tree.map(lambda p, g: p - 0.01 * g, params, gradients), state

def submission():
    return Mine()
"""


def test_a_loss_is_traced_in_the_workloads_precision_too(make: Make) -> None:
    (odd,) = race(make, OWN_JAX)
    assert odd.end == "failed"
    assert "a loss is computed where jax_default_matmul_precision is bfloat16" in odd.reason


HOOKS = """
class Mine:
    def init(self, params):
        return {}
    def update(self, params, state, batch, problem):
        problem._run.model.register_forward_hook(lambda *_: None)
        problem.loss(params, batch)
        return state

def submission(params):
    return Mine()
"""


def test_a_hook_in_the_model_would_run_in_evaluations_and_ends_the_trial(make: Make) -> None:
    (outcome,) = race(make, HOOKS)
    assert outcome.end == "failed"
    assert "a hook was added to the model" in outcome.reason
