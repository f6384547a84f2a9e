"""SGD with Nesterov momentum, warm-up and cosine decay (optax.sgd; Sutskever et al. 2013).

The momentum is tuned too, from 0 to 0.98.
Weight decay is coupled (an L2 term in the gradient) and applies to weight matrices alone.
"""

import optax

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-3, "max": 3.0, "scaling": "log"},
    "one_minus_momentum": {"min": 0.02, "max": 1.0, "scaling": "log"},
    "weight_decay": {"min": 1e-6, "max": 1e-3, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    workload: Card,
    lr: float = 1e-3,
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
        optax.add_decayed_weights(weight_decay, matrices),
        optax.sgd(schedule, momentum=1 - one_minus_momentum, nesterov=True),
    )
