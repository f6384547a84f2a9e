"""NadamW on the hard part of the stream (own lines; Jiang et al. 2019, arXiv 1910.00762).

Selective backprop, by rank: of `pool` batches drawn, the examples of highest loss fill one batch.
Scoring is a forward pass over every example drawn, on the clock; `begin` is the share of the
horizon that trains on plain batches, and every `plain`-th step is plain again (0: never). An
example is scored as a batch of one, so that contrasts within a batch do not count.
The optimizer is that of `nadamw` (torch.optim.NAdam), its rate warming up and falling as a cosine.
"""

import math
from collections.abc import Iterator

import torch
from torch.optim.lr_scheduler import LambdaLR

from submissions.contract import Card, Parameters, Problem, Tensors

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "pool": {"min": 2, "max": 4, "scaling": "linear"},
}
POLICY: dict[str, int] = {}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    pool: int = 2,
    begin: float = 0.0,
    plain: int = 0,
    warmup: float = 0.05,
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    POLICY.update(pool=pool, begin=round(begin * workload.step_hint), plain=plain)
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

    return optimizer, LambdaLR(optimizer, factor)


def select_data(
    params: Tensors,
    state: dict[str, Tensors],
    draw: Iterator[Tensors],
    problem: Problem[torch.Tensor],
) -> tuple[Tensors, dict[str, Tensors]]:
    """The hardest examples of the pool, as many as one batch has."""
    batch = next(draw)
    done = next((int(memory["step"]) for memory in state.values() if "step" in memory), 0)
    if done < POLICY["begin"] or (POLICY["plain"] and done % POLICY["plain"] == 0):
        return batch, state
    drawn = [batch, *(next(draw) for _ in range(POLICY["pool"] - 1))]
    # Fields that all examples share, a catalogue say, are shorter than the batch.
    size = max(len(array) for array in batch.values())
    own = [name for name, array in batch.items() if len(array) == size]
    pool = batch | {name: torch.cat([one[name] for one in drawn]) for name in own}
    hardest = problem.losses(params, pool).topk(size).indices
    return batch | {name: pool[name][hardest] for name in own}, state
