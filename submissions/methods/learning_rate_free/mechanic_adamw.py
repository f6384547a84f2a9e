"""Mechanic on AdamW (own lines; Cutkosky, Defazio and Mehta 2023, arXiv 2306.00144).

A scale of all that AdamW (rate 1, with warm-up and cosine decay) has moved since the start is
learnt. The steps are those of optax.contrib.mechanize, in `mechanic_adamw_jax`, by the authors
and later than their torch package, whose first step differs already: it clamps the reward, starts
its scale at zero, takes norms after the base's step, and cannot be resumed. `s_decay` is Mechanic's
own regulariser; AdamW's weight decay is decoupled and applies to weight matrices alone.
"""

import math

import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}
BETAS = (0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)
EPS = 1e-8


def submission(
    params: Parameters,
    workload: Card,
    s_init: float = 1e-6,
    s_decay: float = 0.01,
    weight_decay: float = 0.0,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1.0)
    mechanic = Mechanic(optimizer, s_init, s_decay)
    optimizer.register_step_pre_hook(mechanic.remember)
    optimizer.register_step_post_hook(mechanic.rescale)
    # (k + 1) / W in the W steps of warm-up, then (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)


class Mechanic:
    """Round each step of a base optimizer, whose state holds also `start`, and sums with one."""

    def __init__(self, base: torch.optim.Optimizer, s_init: float, s_decay: float) -> None:
        self.base = base
        self.s_init = s_init
        self.s_decay = s_decay
        self.params = [p for group in base.param_groups for p in group["params"]]
        self.before: list[torch.Tensor] = []

    @torch.no_grad()
    def remember(self, *_: object) -> None:
        """The weights before the base's step."""
        self.before = [p.clone() for p in self.params]

    @torch.no_grad()
    def rescale(self, *_: object) -> None:
        """The start, and the scale times all that the base has moved."""
        states = [self.base.state[p] for p in self.params]
        for state, p in zip(states, self.before, strict=True):
            state.setdefault("start", p)
        tuner = states[0]
        if "s" not in tuner:
            zeros = self.before[0].new_zeros(len(BETAS))
            tuner.update(r=zeros, m=zeros, v=zeros, s=zeros + self.s_init)
        scale = tuner["s"].sum()
        moved = [
            (p - state["start"]) / (scale + EPS)
            for state, p in zip(states, self.before, strict=True)
        ]
        h = -sum((g * d).sum() for g, d in zip(self._regularised(scale), moved, strict=True))
        scale = self._tuned(tuner, h)
        for p, old, d, state in zip(self.params, self.before, moved, states, strict=True):
            p.copy_(state["start"] + scale * (d + p - old))

    def _regularised(self, scale: torch.Tensor) -> list[torch.Tensor]:
        """The gradients, with a pull towards zero in proportion to their norm."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.params]
        ratio = _norm(gradients) / (_norm(self.before) + EPS)
        pull = self.s_decay * scale * ratio
        return [g + pull * p for g, p in zip(gradients, self.before, strict=True)]

    def _tuned(self, tuner: dict[str, torch.Tensor], h: torch.Tensor) -> torch.Tensor:
        betas = h.new_tensor(BETAS)
        clipped = torch.minimum(torch.maximum(h, -tuner["m"]), tuner["m"])
        reward = betas * tuner["r"] + clipped * tuner["s"]
        most = torch.maximum(betas * tuner["m"], h.abs() + EPS)
        squares = betas**2 * tuner["v"] + h**2
        wealth = self.s_init / len(BETAS) * most + reward.clamp(min=0)
        tuner.update(r=reward, m=most, v=squares, s=wealth / (squares.sqrt() + EPS))
        return tuner["s"].sum()


def _norm(tensors: list[torch.Tensor]) -> torch.Tensor:
    return torch.linalg.vector_norm(torch.stack([t.norm() for t in tensors]))
