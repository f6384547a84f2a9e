"""LAMB (own lines, the trajectory of optax.lamb; You et al. 2019, arXiv 1904.00962).

AdamW's step, tensor by tensor scaled to the norm of the weights. pytorch_optimizer.Lamb divides by
the first moment's bias correction after the scaling, where it no longer cancels.
Weight decay is inside the scaled step and applies to weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import math

import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.optimizer import ParamsT

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}
EPS = 1e-6


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    optimizer = Lamb(groups, lr, (1 - one_minus_beta1, beta2))
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)


class Lamb(torch.optim.Optimizer):
    """State of each parameter: `step`, and the moments `m` and `v`."""

    def __init__(self, params: ParamsT, lr: float, betas: tuple[float, float]) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step at each parameter's own scale."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                direction = self._adam(p, p.grad, group["betas"]).add_(
                    p, alpha=group["weight_decay"]
                )
                weight, size = p.norm(), direction.norm()
                sound = (weight > 0) & (size > 0)
                ratio = torch.where(sound, weight / size, 1.0)
                p.sub_(group["lr"] * ratio * direction)

    def _adam(self, p: torch.Tensor, g: torch.Tensor, betas: tuple[float, float]) -> torch.Tensor:
        state = self.state[p]
        if not state:
            state.update(step=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
        state["step"] += 1
        state["m"].lerp_(g, 1 - betas[0])
        state["v"].lerp_(g.square(), 1 - betas[1])
        m, v = (state[k] / (1 - b ** state["step"]) for k, b in zip("mv", betas, strict=True))
        return m / (v.sqrt() + EPS)
