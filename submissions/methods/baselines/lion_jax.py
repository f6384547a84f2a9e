"""Lion (optax.lion; Chen et al. 2023, arXiv 2302.06675).

The sign of an interpolated momentum: rates 3 to 10 times smaller, weight decay as much larger
than AdamW's. Weight decay is decoupled, multiplied by the rate, and applies to
weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import optax

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-5, "max": 3e-3, "scaling": "log"},
    "weight_decay": {"min": 1e-3, "max": 10.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    workload: Card,
    lr: float = 1e-4,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.99,
    weight_decay: float = 0.0,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> optax.GradientTransformation:
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    fall = optax.cosine_decay_schedule(lr, max(1, workload.step_hint - ramp))
    tail = {"cosine": fall, "constant": optax.constant_schedule(lr)}[decay]
    rise = optax.linear_schedule(lr / ramp, lr, ramp - 1)
    schedule = optax.join_schedules([rise, tail], [ramp])
    decayed = ("weight", "head", "tensor")
    matrices = {name: role in decayed for name, role in workload.roles.items()}
    b1 = 1 - one_minus_beta1
    return optax.lion(schedule, b1, beta2, weight_decay=weight_decay, mask=matrices)
