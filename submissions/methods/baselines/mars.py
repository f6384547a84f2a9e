"""MARS-AdamW (pytorch_optimizer.MARS; Yuan et al. 2024, arXiv 2411.10438).

AdamW on gradients whose variance the previous batch's gradient reduces (the approximate form: one
gradient a step). Parameters of one axis are trained by AdamW at `lr_1d`, as the authors train all
that are no matrices.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import math

import pytorch_optimizer
import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 3e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "gamma": {"min": 5e-3, "max": 0.1, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 3e-3,
    one_minus_beta1: float = 0.05,
    beta2: float = 0.99,
    gamma: float = 0.025,
    lr_1d: float = 3e-3,
    weight_decay: float = 0.0,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    optimizer = pytorch_optimizer.MARS(
        groups,
        lr=lr,
        betas=(1 - one_minus_beta1, beta2),
        gamma=gamma,
        lr_1d=lr_1d,
        weight_decay_1d=0.0,
    )
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)
