"""EMA of the weights on AdamW (own lines on torch.optim.AdamW; Polyak and Juditsky 1992).

Judged by an exponential moving average of the iterates, `ema` a step, that begins at the first of
them, as torch.optim.swa_utils has it. AdamW is Loshchilov and Hutter's.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import math

import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters, Tensors

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "ema": {"feasible_points": [0.99, 0.999, 0.9999]},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    ema: float = 0.999,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(1 - one_minus_beta1, beta2))

    @torch.no_grad()
    def average(*_: object) -> None:
        for p in params:
            memory = optimizer.state[p]
            if "average" in memory:
                memory["average"].lerp_(p, 1 - ema)
            else:
                memory["average"] = p.detach().clone()

    optimizer.register_step_post_hook(average)
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)


def eval_params(params: Tensors, state: dict[str, Tensors]) -> Tensors:
    """The averages; the weights themselves before the first step."""
    return {name: state[name]["average"] for name in params} if state else params
