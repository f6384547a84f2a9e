"""Torch optimizers that are harder to hold: those that sort parameters, or want more of a step."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cluster.checkpoint import StateError
from cluster.learners.state_torch import in_order, into_objects, to_numpy, to_torch
from submissions.contract import SubmissionError
from tests.cluster.learners.test_algorithms import learner, same, trained

DIFFERENTIATES = """
import torch
class Own(torch.optim.SGD):
    @torch.enable_grad()
    def step(self, closure=None):
        params = self.param_groups[0]["params"]
        size = sum(p.grad.square().sum() for p in params)
        for p, slope in zip(params, torch.autograd.grad(size, params)):
            p.grad = p.grad.detach() + 0.01 * slope
        return super().step()
"""
HELD = """
class Held:
    def __init__(self, optimizer):
        self.optimizer = optimizer
    def init(self, params):
        return {"optimizer": self.optimizer}
    def update(self, params, state, batch, problem):
        with torch.enable_grad():
            loss = problem.loss(params, batch)
            gradients = torch.autograd.grad(loss, list(params.values()), create_graph=True)
        for p, gradient in zip(params.values(), gradients):
            p.grad = gradient
        state["optimizer"].step()
        return state
def submission(params):
    return Held(Own(params, lr=0.1))
"""


def test_one_that_differentiates_its_gradients_is_told_to_go_into_an_object() -> None:
    alone = "def submission(params):\n    return Own(params, lr=0.1)\n"
    with pytest.raises(SubmissionError, match=r"Own: element 0 .* an object whose `update`"):
        learner(DIFFERENTIATES + alone)
    made, _ = trained(DIFFERENTIATES + HELD)
    plain, _ = trained("import torch" + HELD.replace("Own", "torch.optim.SGD"))
    assert all(np.isfinite(value).all() for value in made.weights().values())
    assert not same(made.weights(), plain.weights())


@given(st.permutations("abcde"), st.permutations("abcde"), st.integers(0, 5))
def test_memory_comes_back_by_name_in_whatever_order(
    then: list[str], now: list[str], cut: int
) -> None:
    groups = [{"lr": 1, "params": list(range(cut))}, {"lr": 2, "params": list(range(cut, 5))}]
    saved = {"state": {place: {"of": then[place]} for place in range(5)}, "param_groups": groups}
    again = in_order(saved, then, now)
    places = [place for group in again["param_groups"] for place in group["params"]]
    assert [again["state"][place]["of"] for place in places] == now
    assert [len(group["params"]) for group in again["param_groups"]] == [cut, 5 - cut]
    assert in_order(saved, then, [*now[1:], ""]) is saved, "a parameter that is not the workload's"


def test_a_sparse_tensor_is_named_as_what_cannot_be_kept() -> None:
    sparse = {"moments": [torch.zeros(2), torch.eye(3).to_sparse()]}
    with pytest.raises(StateError, match=r"state/moments/1 is a tensor of layout torch.sparse_coo"):
        to_numpy(sparse, "state")


def test_a_submission_is_asked_for_its_state_on_the_clock_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A `state_dict` of its own may train; checkpoints are written while the clock stands."""
    text = f"""
import torch
class Own(torch.optim.SGD):
    def state_dict(self):
        print("asked")
        return super().state_dict()
{HELD}"""
    made, _ = trained(text)
    made.prepare_evaluation()
    made.resume_training()
    assert "asked" in capsys.readouterr().out
    assert made.state()["algorithm"]["optimizer"]["param_groups"]
    assert not capsys.readouterr().out


def test_what_a_torch_submission_keeps_in_numpy_and_in_deques_comes_back_as_it_was() -> None:
    def memory(filled: bool) -> dict[str, Any]:
        average = torch.optim.swa_utils.AveragedModel(torch.nn.Linear(2, 2))
        average.n_averaged.fill_(7 * filled)
        return {"mean": np.full(2, 0.1 * filled), "last": deque([average], maxlen=3)}

    fresh = memory(False)
    saved = to_torch(to_numpy(memory(True), "state"), torch.device("cpu"))
    back = into_objects(saved, fresh)
    assert isinstance(back["mean"], np.ndarray)
    np.testing.assert_array_equal(back["mean"], np.full(2, 0.1), strict=True)
    assert (list(back["last"]), back["last"].maxlen) == (list(fresh["last"]), 3)
    assert back["last"][0].n_averaged == 7
