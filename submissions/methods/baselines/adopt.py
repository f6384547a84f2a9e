"""ADOPT (pytorch_optimizer.ADOPT; Taniguchi et al. 2024, arXiv 2411.02853).

Adam with the second moment of the steps before and momentum after the division; the quotient is
clipped at t^(1/4). The first step fills the second moment and decays weights.
The package clips one step late, which `clip_lambda` mends.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import math

import pytorch_optimizer
import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.9999,
    weight_decay: float = 0.01,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    optimizer = pytorch_optimizer.ADOPT(
        groups,
        lr=lr,
        betas=(1 - one_minus_beta1, beta2),
        clip_lambda=lambda t: (t - 1) ** 0.25,
        weight_decouple=True,
    )
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)
