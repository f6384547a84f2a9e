"""NadamW from short examples to long ones (own lines; Platanios et al. 2019, arXiv 1903.09848).

A curriculum by difficulty: of a pool of batches drawn, those examples fill one batch that are the
shortest by the batch's field `length`; where batches have none, those of the lowest loss. The pool
shrinks from `pool` batches to a single one at the share `until` of the horizon: the paper's linear
competence is the share of the stream that may be trained on, 1 / `pool` at the start. What is drawn
and not trained on is gone, and the losses are forward passes on the clock.
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
    "until": {"feasible_points": [0.25, 0.5, 0.75]},
}
POLICY: dict[str, float] = {}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    pool: int = 4,
    until: float = 0.5,
    warmup: float = 0.05,
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    POLICY.update(pool=pool, until=max(1.0, until * workload.step_hint))
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
    """The easiest examples of as many batches as are drawn now."""
    batch = next(draw)
    done = next((int(memory["step"]) for memory in state.values() if "step" in memory), 0)
    competence = 1 / POLICY["pool"] + (1 - 1 / POLICY["pool"]) * done / POLICY["until"]
    count = max(1, round(1 / competence))
    if count == 1:
        return batch, state
    drawn = [batch, *(next(draw) for _ in range(count - 1))]
    # Fields that all examples share, a catalogue say, are shorter than the batch.
    size = max(len(array) for array in batch.values())
    own = [name for name, array in batch.items() if len(array) == size]
    pool = batch | {name: torch.cat([one[name] for one in drawn]) for name in own}
    hardness = pool["length"] if "length" in own else problem.losses(params, pool)
    easiest = hardness.argsort(stable=True)[:size]
    return batch | {name: pool[name][easiest] for name in own}, state
