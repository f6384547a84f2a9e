"""NadamW on a stream of which a part is repeated (own lines; Hernandez et al., arXiv 2205.10487).

Of 2022. The first few batches of the stream are kept, and in `share` of the steps one of them is
trained on again instead of a new one; as many are kept as makes each seen about `times` times in
the horizon. The paper's question is what repetition costs: a tenth of the training on data seen a
hundred times, its worst case and the default here, does a model the harm of half its size; a large
`share` and few `times` is training for several epochs.
The optimizer is that of `nadamw` (torch.optim.NAdam), its rate warming up and falling as a cosine.
"""

import math
import random
from collections.abc import Iterator

import torch

from submissions.contract import Card, Parameters, Problem, State, Tensors

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "share": {"min": 0.05, "max": 0.9, "scaling": "linear"},
    "times": {"min": 2.0, "max": 100.0, "scaling": "log"},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    share: float = 0.1,
    times: float = 100.0,
    warmup: float = 0.05,
) -> "Repeated":
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
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)

    def factor(k: int) -> float:
        fallen = (1 + math.cos(math.pi * min(1.0, (k - ramp) / rest))) / 2
        return (k + 1) / ramp if k < ramp else fallen

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    kept = max(1, round(share * workload.step_hint / times))
    return Repeated(optimizer, schedule, share, kept, workload.seed)


class Repeated:
    """State: `steps`, the kept batches, and the optimizer with its schedule."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        share: float,
        kept: int,
        seed: int,
    ) -> None:
        self.optimizer = optimizer
        self.schedule = schedule
        self.share = share
        self.kept = kept
        self.seed = seed

    def init(self, params: Tensors) -> State:
        """Nothing is kept yet."""
        return {"steps": 0, "kept": [], "optimizer": self.optimizer, "schedule": self.schedule}

    def select_data(
        self, params: Tensors, state: State, draw: Iterator[Tensors], problem: Problem[torch.Tensor]
    ) -> tuple[Tensors, State]:
        """A new batch, or one of the kept ones."""
        kept: list[Tensors] = state["kept"]
        if len(kept) < self.kept:
            kept.append(next(draw))
            return kept[-1], state
        chance = random.Random(f"{self.seed}/{state['steps']}")
        if chance.random() < self.share:
            return kept[chance.randrange(len(kept))], state
        return next(draw), state

    def update(
        self, params: Tensors, state: State, batch: Tensors, problem: Problem[torch.Tensor]
    ) -> State:
        """One step of NadamW."""
        _, gradient = problem.value_and_grad(params, batch)
        for name, p in params.items():
            p.grad = gradient[name]
        state["optimizer"].step()
        state["schedule"].step()
        return state | {"steps": state["steps"] + 1}
