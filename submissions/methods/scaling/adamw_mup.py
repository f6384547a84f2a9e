"""AdamW by muP's rates and weight decay by width (torch.optim.AdamW; Fan et al., 2510.15262).

"Robust Layerwise Scaling Rules by Proper Weight Decay Tuning". With r = fan_in / base_width, hidden
matrices have the rate lr / r and weight decay weight_decay * sqrt(r) (times the rate, as always);
embeddings, norms and biases have lr and no weight decay. Rates are those of Yang et al. 2022 (arXiv
2203.03466); the output multiplier 1 / fan_in that goes with them is not a submission's to set, so
that heads have the rate lr / r instead, and no weight decay. Tensors that are no matrices have lr
and weight_decay.
Initialisation is the workload's. Here width is each matrix's own fan_in.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import math
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.95,
    weight_decay: float = 0.1,
    base_width: int = 64,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups: dict[Any, dict[str, Any]] = {}
    for name, role in workload.roles.items():
        ratio = workload.shapes[name][1] / base_width if role in ("weight", "head") else 1.0
        decayed = {"weight": weight_decay * math.sqrt(ratio), "tensor": weight_decay}.get(role, 0.0)
        empty = {"params": [], "lr": lr / ratio, "weight_decay": decayed}
        groups.setdefault((ratio, decayed), empty)["params"].append(params.named[name])
    betas = (1 - one_minus_beta1, beta2)
    optimizer = torch.optim.AdamW(list(groups.values()), lr=lr, betas=betas)
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)
