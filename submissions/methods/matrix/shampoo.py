"""Distributed Shampoo (pytorch_optimizer.ScalableShampoo; Anil et al. 2020, arXiv 2002.09018).

The gradient times inverse roots of the second moments of its rows and columns, in blocks of
`block_size`, at the length of RMSProp's step (the graft), which has no bias correction. The roots
are computed every `frequency` steps (the package: 1000); before the first, steps are RMSProp's with
momentum, where the package takes the plain gradient's direction from step 25 on. A matrix of no
more entries than a block has rows counts as a vector, and its steps are RMSProp's throughout.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import math

import pytorch_optimizer
import torch
from pytorch_optimizer.optimizer.utils.graft import LayerWiseGrafting
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.optimizer import StateDict

from submissions.contract import Card, Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "one_minus_beta1": {"min": 4e-3, "max": 0.5, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}
# What the package's objects remember, by the name of the object in a parameter's state.
MEMORY = {
    "pre_conditioner": ("statistics", "pre_conditioners"),
    "graft": ("momentum", "statistics"),
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    frequency: int = 100,
    block_size: int = 512,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    optimizer = Shampoo(
        groups,
        lr=lr,
        betas=(1 - one_minus_beta1, beta2),
        moving_average_for_momentum=True,
        decoupled_weight_decay=True,
        start_preconditioning_step=frequency,
        preconditioning_compute_steps=frequency,
        block_size=block_size,
        graft_type=LayerWiseGrafting.RMSPROP,
        nesterov=False,
    )
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def factor(k: int) -> float:
        return (k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest))

    return optimizer, LambdaLR(optimizer, factor)


class Shampoo(pytorch_optimizer.ScalableShampoo):
    """The package's, whose state keeps objects, with a state of tensors alone."""

    def state_dict(self) -> StateDict:
        """The objects' tensors in the place of the objects."""
        saved: StateDict = super().state_dict()
        plain = {}
        for index, state in saved["state"].items():
            plain[index] = dict(state)
            for name, parts in MEMORY.items():
                if name in state:
                    plain[index][name] = {part: getattr(state[name], part) for part in parts}
        return saved | {"state": plain}

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Fresh objects, with the saved tensors in them."""
        super().load_state_dict(state_dict)
        loaded = {p: dict(state) for p, state in self.state.items()}
        self.state.clear()
        for group in self.param_groups:
            gradients = [p.grad for p in group["params"]]
            for p in group["params"]:
                p.grad = torch.zeros_like(p) if p in loaded else None
            self.init_group(group)
            for p, gradient in zip(group["params"], gradients, strict=True):
                p.grad = gradient
        for p, state in loaded.items():
            for name, parts in MEMORY.items():
                for part in parts:
                    setattr(self.state[p][name], part, state[name][part])
            self.state[p].update({k: v for k, v in state.items() if k not in MEMORY})
