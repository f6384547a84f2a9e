"""Adafactor (torch.optim.Adafactor; Shazeer and Stern 2018, arXiv 1804.04235).

The second moment of a matrix is kept as its row and column sums; the step is relative to the
weights' root mean square. torch caps the rate at 1/sqrt(t).
Weight decay is decoupled, multiplied by the rate as it is before that cap, and applies to weight
matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import math

import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-3, "max": 0.3, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 0.01,
    weight_decay: float = 0.0,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    optimizer = torch.optim.Adafactor(groups, lr=lr)
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)
