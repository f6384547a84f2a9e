"""SOAP (pytorch_optimizer.SOAP; Vyas et al. 2024, arXiv 2409.11321).

AdamW in the eigenbasis of Shampoo's preconditioner, which is refreshed every `frequency` steps; the
first step only fills the preconditioner. Axes longer than `max_dimension` (the authors: 10000) and
vectors are not rotated.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import math

import pytorch_optimizer
import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 3e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 3e-3,
    one_minus_beta1: float = 0.05,
    beta2: float = 0.95,
    weight_decay: float = 0.01,
    frequency: int = 10,
    max_dimension: int = 1024,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    optimizer = Soap(
        groups,
        lr=lr,
        betas=(1 - one_minus_beta1, beta2),
        precondition_frequency=frequency,
        max_precondition_dim=max_dimension,
    )
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)


class Soap(pytorch_optimizer.SOAP):
    """The package's, its rotations in the layout that a checkpoint gives back, to the last bit."""

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """The package's step."""
        super().step()
        for state in self.state.values():
            state["Q"] = [q.contiguous() if torch.is_tensor(q) else q for q in state["Q"]]
