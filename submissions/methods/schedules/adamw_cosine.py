"""AdamW, warm-up, a cosine to a tenth of the rate (torch; Loshchilov, Hutter, arXiv 1711.05101).

The cosine is Loshchilov and Hutter's of 2016 (arXiv 1608.03983) without restarts; it ends at
`floor` of the rate, a tenth as in Hoffmann et al. 2022 (arXiv 2203.15556), where `adamw` ends at
zero. After the horizon the rate stays there.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
"""

import math

import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "floor": {"feasible_points": [0.0, 0.1]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    warmup: float = 0.05,
    floor: float = 0.1,
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(1 - one_minus_beta1, beta2))
    # lr (k + 1) / W in the W steps of warm-up, then between lr and its floor as a cosine.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)

    def factor(k: int) -> float:
        if k < ramp:
            return (k + 1) / ramp
        return floor + (1 - floor) * (1 + math.cos(math.pi * min(1.0, (k - ramp) / rest))) / 2

    return optimizer, LambdaLR(optimizer, factor)
