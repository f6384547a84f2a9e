"""PSGD Kron (pytorch_optimizer.Kron; Li 2015, arXiv 1512.04202, and 2018, 1809.10232).

Momentum preconditioned by a Kronecker product of triangular factors, fitted on the fly: at every
step at first, after 500 steps ever more rarely, down to 3 % of the steps. Axes longer than
`max_dimension` (the package: 8192) have diagonal factors. Draws from the global generators.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import math

import pytorch_optimizer
import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 1e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    one_minus_momentum: float = 0.1,
    weight_decay: float = 0.0,
    max_dimension: int = 1024,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    optimizer = pytorch_optimizer.Kron(
        groups,
        lr=lr,
        momentum=1 - one_minus_momentum,
        max_size_triangular=max_dimension,
        precondition_dtype=None,  # the weights' own; a dtype cannot be kept in a checkpoint
    )
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)
