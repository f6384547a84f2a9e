"""AdamW, warm-up, a cosine to a tenth of the rate (optax; Loshchilov, Hutter, arXiv 1711.05101).

The cosine is Loshchilov and Hutter's of 2016 (arXiv 1608.03983) without restarts; it ends at
`floor` of the rate, a tenth as in Hoffmann et al. 2022 (arXiv 2203.15556), where `adamw` ends at
zero. After the horizon the rate stays there.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
"""

import jax
import jax.numpy as jnp
import optax

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "floor": {"feasible_points": [0.0, 0.1]},
}


def submission(
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    warmup: float = 0.05,
    floor: float = 0.1,
) -> optax.GradientTransformation:
    # lr (k + 1) / W in the W steps of warm-up, then between lr and its floor as a cosine.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)

    def schedule(k: jax.Array) -> jax.Array:
        tail = floor + (1 - floor) * (1 + jnp.cos(jnp.pi * jnp.minimum(1.0, (k - ramp) / rest))) / 2
        return lr * jnp.where(k < ramp, (k + 1) / ramp, tail)

    decayed = ("weight", "head", "tensor")
    matrices = {name: role in decayed for name, role in workload.roles.items()}
    b1 = 1 - one_minus_beta1
    return optax.adamw(schedule, b1, beta2, weight_decay=weight_decay, mask=matrices)
