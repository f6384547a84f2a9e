"""SAM on SGD (pytorch_optimizer.SAM; Foret et al. 2020, arXiv 2010.01412).

Sharpness-aware minimisation takes the gradient at the weights moved by `rho` along the normalised
gradient of the same batch: two gradients a step. The base is SGD with Nesterov momentum.
Weight decay is coupled (an L2 term in the gradient) and applies to weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import math
from collections.abc import Callable

import pytorch_optimizer
import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-3, "max": 3.0, "scaling": "log"},
    "rho": {"min": 5e-3, "max": 0.5, "scaling": "log"},
    "weight_decay": {"min": 1e-6, "max": 1e-3, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    rho: float = 0.05,
    one_minus_momentum: float = 0.1,
    weight_decay: float = 0.0,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    momentum = 1 - one_minus_momentum
    optimizer = Sam(
        groups, torch.optim.SGD, rho=rho, lr=lr, momentum=momentum, nesterov=momentum > 0
    )
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)


class Sam(pytorch_optimizer.SAM):
    """The package's, with the first gradient of a step taken here too."""

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor]) -> torch.Tensor:  # type: ignore[override]
        """Two gradients and one step."""
        loss = closure()
        super().step(closure)  # type: ignore[arg-type]
        return loss
