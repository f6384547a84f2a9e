"""The homeostatic learner as published: its decision, its memory and its controls."""

from __future__ import annotations

import pytest
import torch

import submissions
from submissions.load import execute, unload

LR = 0.1


class Scripted:
    """One weight of 1 whose gradient is the batch's mean of `x`; what is predicted is stated."""

    classes = 10

    def __init__(self, predicted: int, gains: bool) -> None:
        self.predicted = predicted
        self.gains = gains
        self.looked_at: list[tuple[float, list[float]]] = []

    def value_and_grad(self, params, batch):
        return params["w"].sum(), {"w": batch["x"].mean().reshape(1)}

    def measure(self, params, batch):
        if len(batch["x"]) > 1:
            self.looked_at.append((float(params["w"]), batch["x"].tolist()))
        predicted = torch.zeros(10)
        predicted[self.predicted] = 1
        further = -params["w"].sum() if self.gains else params["w"].sum()
        up = 1.0 if self.predicted >= 5 else -1.0
        return {"predicted": predicted, "correct": further * up}


def made(**hyperparameters):
    source = submissions.find("lrh")
    module = execute(source)
    try:
        return module.submission([], lr=LR, **hyperparameters)
    finally:
        unload(source)


def batch_of(start: float, label: int, size: int = 10):
    x = torch.arange(start, start + size)
    return {"x": x, "label": torch.full((size,), label)}


def run(problem, label, **hyperparameters):
    """The learner's rate after a third batch of 10, with its weight then and the state."""
    learner, params = made(**hyperparameters), {"w": torch.ones(1)}
    state = learner.init(params)
    for start in (1.0, 11.0):
        state = learner.update(params, state, batch_of(start, label), problem)
        assert float(state["rate"]) == pytest.approx(LR), "nothing is decided without a memory"
    before = float(params["w"])
    state = learner.update(params, state, batch_of(21.0, label), problem)
    return float(state["rate"]), before, float(params["w"]), state


@pytest.mark.parametrize(
    ("predicted", "label", "gains", "moved"),
    [(7, 7, True, 0.01), (7, 2, True, -0.01), (2, 2, True, -0.01), (2, 8, True, 0.01),
     (7, 7, False, 0.0), (2, 8, False, 0.0)],
)  # fmt: skip
def test_the_rate_moves_by_the_true_class_where_the_predicted_one_s_change_helps(
    predicted, label, gains, moved
):
    rate, before, after, _ = run(Scripted(predicted, gains), label)
    assert rate == pytest.approx(LR + moved)
    assert before - after == pytest.approx(rate * 25.5), (
        "the whole batch's gradient at the new rate"
    )


def test_the_rate_stays_where_nobody_tells_what_is_predicted():
    class Silent(Scripted):
        def measure(self, params, batch):
            told = super().measure(params, batch)
            return {"correct": told["correct"]}

    rate, *_ = run(Silent(7, True), 7)
    assert rate == pytest.approx(LR)


def test_it_looks_ahead_along_the_first_example_on_the_twenty_before():
    problem = Scripted(7, True)
    _, before, _, state = run(problem, 7)
    (asked, memory), (stayed, _) = problem.looked_at
    assert memory == list(map(float, range(1, 21))), "none of the batch itself"
    assert before - asked == pytest.approx(0.11 * 21 / 10, rel=1e-4)
    assert before - stayed == pytest.approx(0.10 * 21 / 10, rel=1e-4)
    assert state["memory"]["x"].tolist() == list(map(float, range(11, 31)))


def test_the_controls_do_not_look_ahead():
    problem = Scripted(7, True)
    assert run(problem, 7, rule="constant")[0] == pytest.approx(LR)
    torch.manual_seed(0)
    rates = {round(run(problem, 7, rule="random", fraction=0.5)[0], 3) for _ in range(20)}
    assert rates == {0.1, 0.15} and not problem.looked_at


def test_another_rule_is_refused():
    with pytest.raises(ValueError, match="homeostatic, constant, random"):
        made(rule="odd")
