"""NadamW on examples of concentrated angles first (own lines; Wang et al., arXiv 2506.02281).

Of 2025, GAIN-RL: the smaller the angles between the hidden states of an example's positions, the
larger its gradient and the more is learned from it now; so these examples come first, and the
others as training goes on. A submission sees losses and no hidden states, and reads the angles from
the example's own gradient of the last hidden matrix, G = sum of (error)(state)^T: the concentration
is |G G^T| / |G|^2 in Frobenius norms, 1 where all states (or all errors) point one way and
1 / sqrt(rank) where they are spread evenly. Of `pool` batches drawn, ranked by it, as many
neighbours as fill a batch are taken: the first at the start, the last at the end of the horizon
(the paper moves a Gaussian along the ranks, faster where answers are right). With one position an
example all are equal, and the first batch is taken. Scoring is a forward and backward pass of every
example drawn, on the clock.
The optimizer is that of `nadamw` (torch.optim.NAdam), its rate warming up and falling as a cosine.
"""

import math
import warnings
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
SCORED: list[str] = []
DIGITS = 4
"""Of a concentration: differences below are rounding."""


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    pool: int = 2,
    warmup: float = 0.05,
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    POLICY.update(pool=pool, horizon=workload.step_hint)
    SCORED[:] = [last_matrix(workload)]
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


def last_matrix(workload: Card) -> str:
    """The last hidden matrix; where there is none, the head or what else has two dimensions."""
    matrices = [name for name, shape in workload.shapes.items() if len(shape) > 1]
    hidden = [name for name in matrices if workload.roles[name] == "weight"]
    return (hidden or matrices)[-1]


def concentration(gradient: torch.Tensor) -> torch.Tensor:
    """Of each example's gradient, (examples, out, in or more), between 0 and 1."""
    rows = gradient.flatten(2)
    narrow = rows if rows.shape[1] < rows.shape[2] else rows.mT
    size = rows.square().sum((1, 2)).clamp(min=1e-30)
    return (narrow @ narrow.mT).square().sum((1, 2)).sqrt() / size


def select_data(
    params: Tensors,
    state: dict[str, Tensors],
    draw: Iterator[Tensors],
    problem: Problem[torch.Tensor],
) -> tuple[Tensors, dict[str, Tensors]]:
    """The examples at this time's ranks, as many as one batch has."""
    drawn = [next(draw) for _ in range(POLICY["pool"])]
    done = next((int(memory["step"]) for memory in state.values() if "step" in memory), 0)
    # Fields that all examples share, a catalogue say, are shorter than the batch.
    batch = drawn[0]
    size = max(len(array) for array in batch.values())
    own = [name for name, array in batch.items() if len(array) == size]
    pool = {name: torch.cat([one[name] for one in drawn]) for name in own}
    shared = {name: array for name, array in batch.items() if name not in own}
    (name,) = SCORED

    def loss(matrix: torch.Tensor, example: Tensors) -> torch.Tensor:
        rows = {key: value[None] for key, value in example.items()}
        return problem.loss(params | {name: matrix}, shared | rows)

    with torch.enable_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")  # a loop, then
        gradient = torch.func.vmap(torch.func.grad(loss), (None, 0))(params[name].detach(), pool)
    score = concentration(gradient).round(decimals=DIGITS)
    past = min(1.0, done / max(1, POLICY["horizon"]))
    start = round(past * (len(score) - size)) if score.min() < score.max() else 0
    chosen = score.argsort(descending=True, stable=True)[start : start + size]
    return batch | {key: pool[key][chosen] for key in own}, state
