"""Signum (optax.signum's parts; Bernstein et al. 2018, arXiv 1802.04434).

The sign of the momentum. Weight decay is decoupled, multiplied by the rate, and applies to weight
matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import optax

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-5, "max": 3e-3, "scaling": "log"},
    "one_minus_momentum": {"min": 0.01, "max": 1.0, "scaling": "log"},
    "weight_decay": {"min": 1e-3, "max": 10.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    workload: Card,
    lr: float = 1e-4,
    one_minus_momentum: float = 0.1,
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
    return optax.chain(
        optax.ema(1 - one_minus_momentum, debias=False),
        optax.scale_by_sign(),
        optax.add_decayed_weights(weight_decay, matrices),
        optax.scale_by_learning_rate(schedule),
    )
