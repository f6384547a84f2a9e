"""Prodigy, AdamW that finds its own rate (optax.contrib; Mishchenko and Defazio, arXiv 2306.06101).

With bias correction, which optax always has, and the authors' safeguard for warm-up.
Weight decay is decoupled and applies to every parameter, the only way that both packages have.
`d_coef` scales the found rate.
"""

import optax
import optax.contrib

from submissions.contract import Card

SEARCH_SPACE = {
    "d_coef": {"min": 0.1, "max": 10.0, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    workload: Card,
    d_coef: float = 1.0,
    weight_decay: float = 0.0,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> optax.GradientTransformation:
    # (k + 1) / W in the W steps of warm-up, then (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    fall = optax.cosine_decay_schedule(1.0, max(1, workload.step_hint - ramp))
    tail = {"cosine": fall, "constant": optax.constant_schedule(1.0)}[decay]
    rise = optax.linear_schedule(1.0 / ramp, 1.0, ramp - 1)
    schedule = optax.join_schedules([rise, tail], [ramp])
    return optax.contrib.prodigy(
        schedule, estim_lr_coef=d_coef, weight_decay=weight_decay, safeguard_warmup=True
    )
