"""Lion (pytorch_optimizer.Lion; Chen et al. 2023, arXiv 2302.06675).

The sign of an interpolated momentum: rates 3 to 10 times smaller, weight decay as much larger
than AdamW's. Weight decay is decoupled, multiplied by the rate, and applies to
weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import math

import pytorch_optimizer
import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-5, "max": 3e-3, "scaling": "log"},
    "weight_decay": {"min": 1e-3, "max": 10.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-4,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.99,
    weight_decay: float = 0.0,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    betas = (1 - one_minus_beta1, beta2)
    optimizer = pytorch_optimizer.Lion(groups, lr=lr, betas=betas)
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)
