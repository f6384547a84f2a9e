"""LAWA, latest weight averaging, on NadamW (own lines on torch.optim.NAdam; arXiv 2209.14981).

Kaddour 2022: judged by the plain mean of the last `keep` snapshots, one every `every` of the
horizon from `begin` of it on; by the weights themselves before. The defaults are those of
AlgoPerf's LAWA (also arXiv 2306.03241), whose queue holds ten; NadamW is that of `nadamw`.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import math

import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters, Tensors

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "every": {"feasible_points": [0.002, 0.005, 0.02]},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    keep: int = 10,
    every: float = 0.002,
    begin: float = 0.02,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    optimizer = torch.optim.NAdam(
        groups,
        lr=lr,
        betas=(1 - one_minus_beta1, beta2),
        momentum_decay=1e9,
        decoupled_weight_decay=True,
    )
    first = round(begin * workload.step_hint)
    period = max(1, round(every * workload.step_hint))

    @torch.no_grad()
    def snapshot(*_: object) -> None:
        for p in params:
            memory = optimizer.state[p]
            memory.setdefault("snapshots", p.new_zeros(keep, *p.shape))
            memory.setdefault("taken", torch.tensor(0.0))
            step = int(memory["step"])
            if step >= first and step % period == 0:
                memory["snapshots"][int(memory["taken"]) % keep] = p
                memory["taken"] += 1

    optimizer.register_step_post_hook(snapshot)
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)


def eval_params(params: Tensors, state: dict[str, Tensors]) -> Tensors:
    """The mean of the snapshots; the weights themselves where there is none."""
    return {name: _mean(p, state.get(name, {})) for name, p in params.items()}


def _mean(p: torch.Tensor, memory: Tensors) -> torch.Tensor:
    count = int(memory.get("taken", 0))
    if not count:
        return p
    snapshots: torch.Tensor = memory["snapshots"][:count]
    return snapshots.mean(0)
