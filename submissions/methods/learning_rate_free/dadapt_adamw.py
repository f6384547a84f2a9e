"""D-Adapt AdamW, rate-free (dadaptation; Defazio and Mishchenko 2023, arXiv 2301.07733).

With bias correction, off by default in the authors' package, on in optax (`dadapt_adamw_jax`).
Weight decay is decoupled and applies to every parameter, the only way that optax has. `lr` scales
the found rate, which warms up and then falls as a cosine to zero (`decay`: or stays).
"""

import math

import dadaptation
import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1.0,
    weight_decay: float = 0.0,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    optimizer = dadaptation.DAdaptAdam(
        params, lr=lr, weight_decay=weight_decay, decouple=True, use_bias_correction=True
    )
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)
