"""Shrink and perturb, on Adam (own lines; Ash and Adams 2020, arXiv 1910.08475).

Weights shrink towards zero and get noise of the size of their initial deviation. The paper does so
once before each new stage of the data (shrink .4, perturb .6); nobody tells a submission of stages,
and so it is done a little after every step, as Dohare et al. do (arXiv 2306.13812); `every` makes
it rarer. Matrices and tensors alone: gains and biases have no deviation at the start.
The rate is constant (`decay`: or falls as a cosine) after a warm-up.
"""

import math

import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "shrink": {"min": 1e-6, "max": 1e-2, "scaling": "log"},
    "perturb": {"min": 1e-5, "max": 1e-2, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    shrink: float = 1e-4,
    perturb: float = 1e-3,
    every: int = 1,
    warmup: float = 0.0,
    decay: str = "constant",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    optimizer = torch.optim.Adam(params, lr=lr)
    matrices = params.of("weight", "head", "tensor")
    deviations = [p.detach().std() for p in matrices]

    @torch.no_grad()
    def renew(*_: object) -> None:
        for p, deviation in zip(matrices, deviations, strict=True):
            if int(optimizer.state[p]["step"]) % every == 0:
                p.mul_(1 - shrink).add_(perturb * deviation * torch.randn_like(p))

    optimizer.register_step_post_hook(renew)
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)
