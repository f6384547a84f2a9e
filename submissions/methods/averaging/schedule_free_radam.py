"""Schedule-Free RAdam (the authors' package schedulefree; Defazio et al. 2024, arXiv 2405.15682).

RAdam's rectification takes the place of warm-up; evaluated at an average of the iterates. The
package's defaults: no step is made in the first few, while the variance is not yet known. No twin:
optax has no Schedule-Free RAdam. Weight decay applies to weight matrices alone.
"""

import schedulefree
import torch

from submissions.contract import Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
}


def submission(
    params: Parameters,
    lr: float = 2.5e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    return schedulefree.RAdamScheduleFree(groups, lr=lr, betas=(1 - one_minus_beta1, beta2))
