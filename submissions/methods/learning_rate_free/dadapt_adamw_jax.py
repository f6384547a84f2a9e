"""D-Adapt AdamW, rate-free (optax.contrib; Defazio and Mishchenko, arXiv 2301.07733).

Of 2023. Bias correction is always on, where the authors' package has it off. Weight decay is
decoupled and applies to every parameter. `lr` scales the found rate, which warms up and then falls
as a cosine to zero (`decay`: or stays).
"""

import optax
import optax.contrib

from submissions.contract import Card

SEARCH_SPACE = {
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    workload: Card,
    lr: float = 1.0,
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
    return optax.contrib.dadapt_adamw(schedule, weight_decay=weight_decay)
