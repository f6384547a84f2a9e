"""AdamW by muP's rates and weight decay by width (optax; Fan et al., 2510.15262).

"Robust Layerwise Scaling Rules by Proper Weight Decay Tuning". With r = fan_in / base_width, hidden
matrices have the rate lr / r and weight decay weight_decay * sqrt(r) (times the rate, as always);
embeddings, norms and biases have lr and no weight decay. Rates are those of Yang et al. 2022 (arXiv
2203.03466); the output multiplier 1 / fan_in that goes with them is not a submission's to set, so
that heads have the rate lr / r instead, and no weight decay. Tensors that are no matrices have lr
and weight_decay.
Initialisation is the workload's. Here width is each matrix's own fan_in.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import math

import optax

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.95,
    weight_decay: float = 0.1,
    base_width: int = 64,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> optax.GradientTransformation:
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    fall = optax.cosine_decay_schedule(lr, max(1, workload.step_hint - ramp))
    tail = {"cosine": fall, "constant": optax.constant_schedule(lr)}[decay]
    rise = optax.linear_schedule(lr / ramp, lr, ramp - 1)
    schedule = optax.join_schedules([rise, tail], [ramp])
    scales, decays = {}, {}
    for name, role in workload.roles.items():
        ratio = workload.shapes[name][1] / base_width if role in ("weight", "head") else 1.0
        scales[name] = 1 / ratio
        decays[name] = {"weight": weight_decay * math.sqrt(ratio), "tensor": weight_decay}.get(
            role, 0.0
        )

    def by_width(updates: optax.Updates, params: optax.Params) -> optax.Updates:
        return {
            name: scales[name] * (u + decays[name] * params[name]) for name, u in updates.items()
        }

    return optax.chain(
        optax.scale_by_adam(1 - one_minus_beta1, beta2),
        optax.stateless(by_width),
        optax.scale_by_learning_rate(schedule),
    )
