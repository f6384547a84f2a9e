"""Schedule-Free SGD (the authors' package schedulefree; Defazio et al. 2024, arXiv 2405.15682).

No schedule but a warm-up; evaluated at an average of the iterates. The package's defaults. Weight
decay is coupled (an L2 term in the gradient at y) and applies to weight matrices alone.
"""

import schedulefree
import torch

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-2, "max": 1e1, "scaling": "log"},
    "weight_decay": {"min": 1e-6, "max": 1e-3, "scaling": "log"},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1.0,
    one_minus_momentum: float = 0.1,
    weight_decay: float = 0.0,
    warmup: float = 0.05,
) -> torch.optim.Optimizer:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    return schedulefree.SGDScheduleFree(
        groups,
        lr=lr,
        momentum=1 - one_minus_momentum,
        warmup_steps=round(warmup * workload.step_hint),
    )
