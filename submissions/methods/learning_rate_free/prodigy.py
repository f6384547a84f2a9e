"""Prodigy, AdamW that finds its own rate (prodigyopt; Mishchenko and Defazio, arXiv 2306.06101).

With bias correction, as in optax (`prodigy_jax`), and the authors' safeguard for warm-up.
Weight decay is decoupled and applies to every parameter, the only way that both packages have.
`d_coef` scales the found rate.
"""

import math

import prodigyopt
import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "d_coef": {"min": 0.1, "max": 10.0, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    d_coef: float = 1.0,
    weight_decay: float = 0.0,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    optimizer = prodigyopt.Prodigy(
        params,
        weight_decay=weight_decay,
        d_coef=d_coef,
        use_bias_correction=True,
        safeguard_warmup=True,
    )
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)
