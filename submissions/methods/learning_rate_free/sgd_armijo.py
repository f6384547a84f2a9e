"""SGD with a backtracking line search on each batch (own lines; Vaswani et al., arXiv 1905.09997).

Of 2019. The rate, at most `max_lr`, starts at `increase` times the last one and falls by `decrease`
until the batch's own loss has come down by `sufficient` times the rate times the squared norm of
the gradient (Armijo's rule), at most `most` times; a step that only leads to NaN is left out, and
the next search begins as if it had not been. Every loss is on the clock. These are the steps of
optax, in `sgd_armijo_jax`, with the paper's constants, but that the paper grows the rate by 2 an
epoch, and optax by `increase` a step: streams here have no epochs.
"""

import math

import torch

from submissions.contract import Parameters, Problem, State, Tensors

SEARCH_SPACE = {
    "max_lr": {"min": 1e-1, "max": 1e2, "scaling": "log"},
    "sufficient": {"min": 1e-4, "max": 0.5, "scaling": "log"},
    "increase": {"feasible_points": [1.1, 1.5, 2.0]},
}


def submission(
    params: Parameters,
    max_lr: float = 1.0,
    sufficient: float = 0.1,
    decrease: float = 0.9,
    increase: float = 2.0,
    most: int = 100,
) -> "Armijo":
    return Armijo(max_lr, sufficient, decrease, increase, most)


class Armijo:
    """State: `lr`, the rate of the last step."""

    def __init__(
        self, max_lr: float, sufficient: float, decrease: float, increase: float, most: int
    ) -> None:
        self.max_lr = max_lr
        self.sufficient = sufficient
        self.decrease = decrease
        self.increase = increase
        self.most = most

    def init(self, params: Tensors) -> State:
        """A rate of one."""
        return {"lr": 1.0}

    def update(
        self, params: Tensors, state: State, batch: Tensors, problem: Problem[torch.Tensor]
    ) -> State:
        """The longest step that descends enough."""
        loss, gradient = problem.value_and_grad(params, batch)
        now = float(loss)
        size = float(sum(g.square().sum() for g in gradient.values()))
        lr = min(self.increase * state["lr"], self.max_lr)
        for tries in range(self.most + 1):
            lr *= self.decrease if tries else 1.0
            there = {name: p - lr * gradient[name] for name, p in params.items()}
            ahead = float(problem.loss(there, batch))
            if ahead <= now - self.sufficient * lr * size:
                break
        if not math.isfinite(ahead):
            return state  # a rate of 0 would never grow again
        for name, p in params.items():
            p.sub_(lr * gradient[name])
        return {"lr": lr}
