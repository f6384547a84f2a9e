"""Muon for hidden matrices, AdamW for the rest (torch.optim.Muon; Jordan 2024).

A matrix's Nesterov momentum is orthogonalised by five Newton-Schulz steps and scaled to AdamW's
root mean square, 0.2 sqrt(max(in, out)) (Liu et al. 2025, arXiv 2502.16982), so that one rate and
one weight decay serve both. Heads, embeddings, tensors and vectors go to AdamW.
torch orthogonalises in bfloat16: the twin differs by its rounding, and by optax's bias correction.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import math

import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "momentum": {"feasible_points": [0.9, 0.95, 0.98]},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    momentum: float = 0.95,
    weight_decay: float = 0.1,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[list[torch.optim.Optimizer], list[LambdaLR]]:
    matrices = params.of("weight")
    groups = [
        {"params": params.of("head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    optimizers = [
        torch.optim.Muon(
            [{"params": matrices}],
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(groups, lr=lr, betas=(1 - one_minus_beta1, beta2)),
    ]
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizers, [LambdaLR(optimizer, factor) for optimizer in optimizers]
