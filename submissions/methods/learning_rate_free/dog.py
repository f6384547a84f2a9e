"""DoG, distance over gradients (dog-optimizer; Ivgi, Hinder and Carmon 2023, arXiv 2302.12022).

SGD whose rate is the largest distance from the start over the root of the summed squared
gradients; the first step is `reps_rel` (1 + |x0|). Judged, as the authors demand, by an average of
the iterates of polynomial decay `gamma` (their averager's formula); `dog_jax` by the last one.
Weight decay is coupled (an L2 term in the gradient) and applies to every parameter.
"""

import dog
import torch

from submissions.contract import Parameters, Tensors

SEARCH_SPACE = {
    "reps_rel": {"min": 1e-8, "max": 1e-4, "scaling": "log"},
    "weight_decay": {"min": 1e-6, "max": 1e-3, "scaling": "log"},
}


def submission(
    params: Parameters, reps_rel: float = 1e-6, weight_decay: float = 0.0, gamma: float = 8.0
) -> torch.optim.Optimizer:
    optimizer: torch.optim.Optimizer = dog.DoG(params, reps_rel, weight_decay=weight_decay)

    @torch.no_grad()
    def average(*_: object) -> None:
        for p in params:
            memory = optimizer.state[p]
            memory.setdefault("average", torch.zeros_like(p))
            memory["step"] = memory.get("step", 0) + 1
            # All of the first iterate, then less and less of each.
            memory["average"].lerp_(p, (gamma + 1) / (gamma + memory["step"]))

    optimizer.register_step_post_hook(average)
    return optimizer


def eval_params(params: Tensors, state: dict[str, Tensors]) -> Tensors:
    """The averages; the weights themselves before the first step."""
    return {name: state[name]["average"] for name in params} if state else params
