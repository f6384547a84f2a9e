"""Odd submissions, one of each kind that was tried: what `check` says of them, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.checks.conformance import DEFAULT_WORKLOAD, check_here
from submissions.source import find

STEPS = """
import torch

class Odd(torch.optim.SGD):
    n = 0
    def step(self, closure=None):
        self.n += 1
        WHAT
        return super().step()

def submission(params, lr=0.01):
    return Odd(params, lr=lr)
"""
OBJECT = """
class Odd:
    def init(self, params):
        return {}
    def update(self, params, state, batch, problem):
        _, gradients = problem.value_and_grad(params, batch)
        for name, p in params.items():
            p.data.sub_(0.01 * gradients[name])
        BATCH
        return state
    def eval_params(self, params, state):
        return JUDGED

def submission(params):
    return Odd()
"""
WEIGHTS_ALONE = """
class Odd:
    def init(self, params):
        return {}
    def update(self, params, state, batch, problem):
        problem.loss(params, batch)
        return params

def submission():
    return Odd()
"""
RETURNS = """
import optax, torch

def submission(params, lr=0.01):
    return WHAT
"""


def steps(what: str) -> str:
    return STEPS.replace("WHAT", what)


def judged(what: str, batch: str = "pass") -> str:
    return OBJECT.replace("JUDGED", what).replace("BATCH", batch)


def returns(what: str) -> str:
    return RETURNS.replace("WHAT", what)


FAIL = {
    "raises no Exception": (
        steps("raise type('Mine', (BaseException,), {})('odd')"),
        "Mine: odd (",
    ),
    "raises a group": (
        steps("raise ExceptionGroup('many', [ValueError('one'), KeyError('two')])"),
        "ExceptionGroup: many (2 sub-exceptions) (",
    ),
    "raises what a terminal obeys": (
        steps(r"raise ValueError('\x1b[31m \ud800')"),
        r"ValueError: \x1b[31m \ud800 (",
    ),
    "raises what cannot be told": (
        steps(
            "raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})",
        ),
        "Mute: its message cannot be read (",
    ),
    "steps with gradients": (
        steps("[p.sub_(p.grad) for p in self.param_groups[0]['params']]"),
        "in-place operation; write `@torch.no_grad()` above the optimizer's `def step`",
    ),
    "judges nothing": (judged("None"), "`eval_params` returned a NoneType; return a dict"),
    "judges other names": (
        judged("{name + 'x': p for name, p in params.items()}"),
        "the weights to evaluate lack 'layers.0.bias'; keep the model's names",
    ),
    "trains nothing of the model": (
        returns("torch.optim.SGD([torch.zeros(3, requires_grad=True)], lr=lr)"),
        "no weight changed in 64 steps",
    ),
    "is a scheduler alone": (
        returns("torch.optim.lr_scheduler.ConstantLR(torch.optim.SGD(params, lr=lr))"),
        "`submission` returned a ConstantLR; return a torch optimizer",
    ),
    "returns the weights alone": (
        WEIGHTS_ALONE,
        "`update` returned a dict; return the new ones: `return params, state`",
    ),
    "selects nothing": (
        "def select_data(*given):\n    return None\n" + returns("torch.optim.SGD(params, lr=lr)"),
        "TypeError: ",
    ),
}
PASS = {
    "nests its tuples": returns("((torch.optim.SGD(params, lr=lr),),)"),
    "spoils its batches": judged("params", "[value.zero_() for value in batch.values()]"),
    "takes stdout away": steps("import sys; sys.stdout = sys.stderr"),
}


@pytest.fixture(autouse=True)
def _this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setenv("JAX_PLATFORMS", "cpu")  # as `check_here` sets it for good
    monkeypatch.setattr(sys, "stdout", sys.stdout)


@pytest.mark.parametrize("kind", FAIL)
def test_what_is_odd_and_wrong_is_named_in_one_line(kind: str, tmp_path: Path) -> None:
    text, told = FAIL[kind]
    (tmp_path / "mine.py").write_text(text)
    last = check_here(find(str(tmp_path / "mine.py")), [DEFAULT_WORKLOAD])[-1]
    assert not last.ok
    assert told in last.detail
    assert "\n" not in last.detail


@pytest.mark.parametrize("kind", PASS)
def test_what_is_merely_odd_passes(kind: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PASS[kind])
    found = check_here(find(str(tmp_path / "mine.py")), [DEFAULT_WORKLOAD])
    assert [finding for finding in found if not finding.ok] == []


STATES = {
    "{'f': lambda: 1}": "is a function",
    "self.__dict__.setdefault('me', {}).setdefault('me', self.me) and {'me': self.me}": "itself",
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_that_cannot_be_kept_is_told_and_allowed(state: str, tmp_path: Path) -> None:
    text = steps("pass").replace(
        "    n = 0", f"    n = 0\n    def state_dict(self):\n        return {state}"
    )
    (tmp_path / "mine.py").write_text(text)
    found = check_here(find(str(tmp_path / "mine.py")), [DEFAULT_WORKLOAD])
    told = {finding.title: finding.detail for finding in found}
    assert STATES[state] in told["a checkpoint may not resume exactly"]
