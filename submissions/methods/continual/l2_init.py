"""L2 Init, a pull towards the initial weights (own lines; Kumar et al. 2023, arXiv 2308.11958).

Regenerative regularisation: `strength` times the squared distance from the start is added to the
loss, so that Adam's step feels it (it is coupled), of every parameter. The paper searches powers
of ten from 1e-2 to 1e-5. The rate is constant (`decay`: or falls as a cosine) after a warm-up.
"""

import math

import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "strength": {"min": 1e-5, "max": 1e-2, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    strength: float = 1e-3,
    warmup: float = 0.0,
    decay: str = "constant",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    optimizer = torch.optim.Adam(params, lr=lr)
    starts = [p.detach().clone() for p in params]

    @torch.no_grad()
    def pull(*_: object) -> None:
        for p, start in zip(params, starts, strict=True):
            if p.grad is not None:
                p.grad.add_(p - start, alpha=2 * strength)

    optimizer.register_step_pre_hook(pull)
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)
