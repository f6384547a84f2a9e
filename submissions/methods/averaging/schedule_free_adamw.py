"""Schedule-Free AdamW (the authors' package schedulefree; Defazio et al., arXiv 2405.15682).

No schedule but a warm-up; evaluated at an average of the iterates. Weight decay applies to weight
matrices alone.
"""

import schedulefree
import torch

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 2.5e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.0,
    warmup: float = 0.05,
) -> torch.optim.Optimizer:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    return schedulefree.AdamWScheduleFree(
        groups,
        lr=lr,
        betas=(1 - one_minus_beta1, beta2),
        warmup_steps=round(warmup * workload.step_hint),
    )
