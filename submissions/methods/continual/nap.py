"""NaP, normalise and project, round any optimizer (own lines; Lyle et al. 2024, arXiv 2407.01800).

After each of the base's steps every hidden matrix is brought back to the Frobenius norm that it had
at the start, so that the rate means the same all along. The paper's networks have a normalisation
before each non-linearity, which makes them indifferent to that norm; where a workload's model has
none, this is a plain constraint. Heads, vectors, embeddings and tensors are free, and the base's
state is left as it is. Weight decay applies to heads and tensors alone, since on a projected matrix
it would do nothing: decoupled and multiplied by the rate, but for SGD an L2 term in the gradient.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import math

import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "base": {"feasible_points": ["sgd", "adamw", "nadamw"]},
    "lr": {"min": 1e-4, "max": 1e-1, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    base: str = "adamw",
    lr: float = 1e-3,
    weight_decay: float = 0.01,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups = [
        {"params": params.of("head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("weight", "bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    bases = {"sgd": _sgd, "adamw": _adamw, "nadamw": _nadamw}
    optimizer = bases[base](groups, lr)
    normalise_and_project(optimizer, params.of("weight"))
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)


def normalise_and_project(optimizer: torch.optim.Optimizer, matrices: list[torch.Tensor]) -> None:
    """Let every step of the optimizer end with the norms that these matrices have now."""
    norms = [matrix.detach().norm() for matrix in matrices]

    @torch.no_grad()
    def project(*_: object) -> None:
        for matrix, norm in zip(matrices, norms, strict=True):
            matrix.mul_(norm / matrix.norm())

    optimizer.register_step_post_hook(project)


def _sgd(groups: list[dict[str, object]], lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr, momentum=0.9, nesterov=True)


def _adamw(groups: list[dict[str, object]], lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr)


def _nadamw(groups: list[dict[str, object]], lr: float) -> torch.optim.Optimizer:
    return torch.optim.NAdam(groups, lr, momentum_decay=1e9, decoupled_weight_decay=True)
