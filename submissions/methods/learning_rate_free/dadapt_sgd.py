"""D-Adapt SGD, rate-free (dadaptation; Defazio and Mishchenko 2023, arXiv 2301.07733).

The rate is the estimated distance over the norm of the very first gradient, and nothing else bounds
it: with the package's default, no momentum, it passes what the curvature allows as soon as later
gradients are larger than the first, and the weights become NaN. The authors' own runs have momentum
.9 and a schedule, and so has this file. optax has no such method.
`lr` scales the found rate, which warms up and then falls as a cosine to zero (`decay`: or stays).
Weight decay is coupled (an L2 term in the gradient) and applies to every parameter.
"""

import math

import dadaptation
import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "one_minus_momentum": {"min": 1e-2, "max": 0.5, "scaling": "log"},
    "weight_decay": {"min": 1e-6, "max": 1e-3, "scaling": "log"},
    "growth_rate": {"feasible_points": [1.02, 1e9]},
    "decay": {"feasible_points": ["cosine", "constant"]},
}
LEAST = 1e-8


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1.0,
    one_minus_momentum: float = 0.1,
    weight_decay: float = 0.0,
    growth_rate: float = 1e9,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    optimizer = dadaptation.DAdaptSGD(
        params, lr, 1 - one_minus_momentum, weight_decay, growth_rate=growth_rate
    )
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        fallen = (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))
        return max(LEAST, fallen)  # at a rate of zero the package raises

    return optimizer, LambdaLR(optimizer, factor)
