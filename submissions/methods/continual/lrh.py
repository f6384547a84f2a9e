"""The homeostatic learner as its authors have it (own lines; Man et al., arXiv 2205.08645).

Plain SGD with one rate for the whole network; before each batch that rate may move by a tenth of
its first value. It is decided on the batch's first example: classes of the upper half ask for
more, those of the lower half for less. The class that is predicted gives the simulated change. If
a step at the changed rate, along that one example's share of the batch's gradient, classifies
strictly more of the 20 examples before the batch rightly than a step at the present rate, then the
rate moves, but in the direction of the example's true class, and never below 1e-8.
`rule` gives the paper's controls: `constant` never moves it, `random` makes the true class's change
with a chance of one half, whatever it does. Where batches have no labels, or a workload does not
tell what is predicted, the rate stays.
`homeostat` is ours and another method: it looks ahead on the batch itself.
"""

from typing import TypedDict

import torch

from submissions.contract import Parameters, Problem, Tensors

SEARCH_SPACE = {
    "lr": {"min": 1e-3, "max": 3e-1, "scaling": "log"},
}
RULES = ("homeostatic", "constant", "random")
FLOOR = 1e-8
MEMORY = 20


class State(TypedDict):
    """The present rate (0-d), and the examples before the batch, none at first."""

    rate: torch.Tensor
    memory: Tensors


def submission(
    params: Parameters, lr: float = 0.1, fraction: float = 0.1, rule: str = "homeostatic"
) -> "Learner":
    if rule not in RULES:
        raise ValueError(f"rule {rule!r}: expected one of {', '.join(RULES)}")
    return Learner(lr, fraction * lr, rule)


class Learner:
    """Plain SGD at a rate that moves by `change`, or not, before each step."""

    def __init__(self, rate: float, change: float, rule: str) -> None:
        self.rate = rate
        self.change = change
        self.rule = rule

    def init(self, params: Tensors) -> State:
        """The first rate, and nothing remembered."""
        some = next(iter(params.values()))
        return {"rate": some.new_full((), self.rate), "memory": {}}

    def update(
        self, params: Tensors, state: State, batch: Tensors, problem: Problem[torch.Tensor]
    ) -> State:
        """Decide, then descend."""
        _, gradient = problem.value_and_grad(params, batch)
        memory = state["memory"]
        rate = self._decide(params, state, batch, problem)
        for name, parameter in params.items():
            parameter.sub_(rate * gradient[name])
        known = {n: torch.cat([memory[n], rows]) if memory else rows for n, rows in batch.items()}
        return {"rate": rate, "memory": {n: rows[-MEMORY:].clone() for n, rows in known.items()}}

    def _decide(
        self, params: Tensors, state: State, batch: Tensors, problem: Problem[torch.Tensor]
    ) -> torch.Tensor:
        rate, memory = state["rate"], state["memory"]
        full = memory and len(next(iter(memory.values()))) >= MEMORY
        if self.rule == "constant" or not full or "label" not in batch or not problem.classes:
            return rate
        half = problem.classes / 2
        higher, lower = rate + self.change, (rate - self.change).clamp(min=FLOOR)
        due = torch.where(batch["label"][0] >= half, higher, lower)
        if self.rule == "random":
            return torch.where(torch.rand((), device=rate.device) < 0.5, due, rate)
        first = {name: array[:1] for name, array in batch.items()}
        seen = problem.measure(params, first)
        if "predicted" not in seen:
            return rate
        asked = torch.where(seen["predicted"].argmax() >= half, higher, lower)
        _, share = problem.value_and_grad(params, first)
        size = len(batch["label"])

        def ahead(at: torch.Tensor) -> torch.Tensor:
            moved = {name: p - at * share[name] / size for name, p in params.items()}
            return problem.measure(moved, memory)["correct"]

        return torch.where(ahead(asked) > ahead(rate), due, rate)
