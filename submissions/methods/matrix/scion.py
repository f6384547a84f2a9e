"""Unconstrained Scion (pytorch_optimizer.SCION; Pethick et al. 2025, arXiv 2502.07529).

Each step is the steepest of unit length in a norm that fits the layer: spectral for hidden
matrices (radius `radius`), the sign over the width for heads and embeddings (`head_radius`), the
root mean square, along the first axis, for vectors and other tensors (radius 1). The radii are the
authors' for language models.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import math

import pytorch_optimizer
import torch
from pytorch_optimizer.optimizer.scion import LMONorm
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-5, "max": 3e-3, "scaling": "log"},
    "radius": {"min": 3.0, "max": 100.0, "scaling": "log"},
    "head_radius": {"min": 10.0, "max": 3000.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 2.4e-4,
    one_minus_momentum: float = 0.1,
    radius: float = 50.0,
    head_radius: float = 3000.0,
    warmup: float = 0.0,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups = [
        {"params": params.of("weight"), "norm_type": int(LMONorm.SPECTRAL), "scale": radius},
        {
            "params": params.of("head", "embedding"),
            "norm_type": int(LMONorm.SIGN),
            "scale": head_radius,
        },
        {
            "params": params.of("bias", "norm", "tensor"),
            "norm_type": int(LMONorm.BIAS),
            "scale": 1.0,
        },
    ]
    optimizer = pytorch_optimizer.SCION(groups, lr=lr, momentum=one_minus_momentum)
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)
