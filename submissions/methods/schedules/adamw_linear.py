"""AdamW, warm-up and a linear fall to zero (torch.optim; Defazio et al. 2023, arXiv 2310.07831).

The schedule that their theory of the last iterate gives; Bergsma et al. 2025 (arXiv 2502.15938)
find it best for language models. AdamW is Loshchilov and Hutter's, with the package's defaults.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
"""

import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    warmup: float = 0.05,
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(1 - one_minus_beta1, beta2))
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 - (k - W) / (T - W)).
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)

    def factor(k: int) -> float:
        if k < ramp:
            return (k + 1) / ramp
        return max(0.0, 1 - (k - ramp) / rest)

    return optimizer, LambdaLR(optimizer, factor)
