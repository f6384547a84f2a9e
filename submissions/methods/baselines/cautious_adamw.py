"""Cautious AdamW (torch.optim.AdamW, masked; Liang et al. 2024, arXiv 2411.16085).

Each tensor's step is zero where its sign disagrees with the gradient's, and the rest is divided by
the share that remains (at least 1e-3), as in the authors' code.
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
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    optimizer = Cautious(groups, lr=lr, betas=(1 - one_minus_beta1, beta2))
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)


class Cautious(torch.optim.AdamW):
    """The base optimizer's step, masked; weight decay is done here, unmasked."""

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step of the base optimizer, then the mask."""
        groups = self.param_groups
        before = [[p.clone() for p in group["params"]] for group in groups]
        decays = [group["weight_decay"] for group in groups]
        for group in groups:
            group["weight_decay"] = 0.0
            for p in group["params"]:
                p.zero_()  # so that what the base leaves there is its step, unrounded
        super().step()
        for group, olds, decay in zip(groups, before, decays, strict=True):
            group["weight_decay"] = decay
            for p, old in zip(group["params"], olds, strict=True):
                moved, gradient = p.clone(), torch.zeros_like(p) if p.grad is None else p.grad
                mask = (moved * gradient < 0).to(p.dtype)
                scale = mask / mask.mean().clamp(min=1e-3)
                p.copy_(old * (1 - group["lr"] * decay) + moved * scale)
