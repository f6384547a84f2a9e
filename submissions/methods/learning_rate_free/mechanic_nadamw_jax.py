"""Mechanic on NadamW (optax.contrib.mechanize; Cutkosky, Defazio, Mehta 2023, arXiv 2306.00144).

A scale of all that NadamW (rate 1, with warm-up and cosine decay) has moved since the start is
learnt. The authors' torch package differs from the first step on: it clamps the reward, starts its
scale at zero and takes norms after the base's step. `s_decay` is Mechanic's own regulariser;
NadamW's weight decay is decoupled and applies to weight matrices alone.
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
    s_init: float = 1e-6,
    s_decay: float = 0.01,
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
    decayed = ("weight", "head", "tensor")
    matrices = {name: role in decayed for name, role in workload.roles.items()}
    base = optax.nadamw(schedule, weight_decay=weight_decay, mask=matrices)
    return optax.contrib.mechanize(base, weight_decay=s_decay, s_init=s_init)
