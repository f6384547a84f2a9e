"""DoWG, distance over weighted gradients (own lines; Khaled et al. 2023, arXiv 2305.16284).

Normalised gradient descent without a rate: like DoG, with every gradient weighted by the distance
from the start. `eps` is, as in the authors' code, both the first squared distance and added to the
denominator; their pseudo-code has it in the distance alone. The authors' package is on no index,
and PyPI's `dowg` takes other steps; these are those of optax, in `dowg_jax`.
"""

import torch

from submissions.contract import Parameters

SEARCH_SPACE = {
    "eps": {"min": 1e-8, "max": 1e-2, "scaling": "log"},
}


def submission(params: Parameters, lr: float = 1.0, eps: float = 1e-4) -> torch.optim.Optimizer:
    return DoWG(params, lr, eps)


class DoWG(torch.optim.Optimizer):
    """State: `start` of each parameter; of all together, with the first: `distance`, `weighted`."""

    def __init__(self, params: Parameters, lr: float, eps: float) -> None:
        super().__init__(params, {"lr": lr, "eps": eps})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step along the gradient, as long as distance and gradients so far allow."""
        group = self.param_groups[0]
        params = [p for p in group["params"] if p.grad is not None]
        for p in params:
            self.state[p].setdefault("start", p.clone())
        whole, eps = self.state[params[0]], group["eps"]
        away = sum((p - self.state[p]["start"]).square().sum() for p in params)
        size = sum(p.grad.square().sum() for p in params)
        whole["distance"] = torch.maximum(whole.get("distance", away.new_tensor(eps)), away)
        whole["weighted"] = whole.get("weighted", 0.0) + whole["distance"] * size
        rate = group["lr"] * whole["distance"] / (whole["weighted"].sqrt() + eps)
        for p in params:
            p.sub_(rate * p.grad)
