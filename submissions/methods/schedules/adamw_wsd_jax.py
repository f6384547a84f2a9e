"""AdamW with warm-up, a stable rate, a short decay (optax; Hu et al. 2024, arXiv 2404.06395).

The decay takes the last `cooldown` of the horizon and is 1 - sqrt, as in Haegele et al. 2024
(arXiv 2405.18392), where Hu et al. have an exponential. Weight decay is decoupled, multiplied by
the rate, and applies to weight matrices alone.
"""

import jax
import jax.numpy as jnp
import optax

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "cooldown": {"min": 0.1, "max": 0.5, "scaling": "linear"},
}


def submission(
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    warmup: float = 0.05,
    cooldown: float = 0.2,
) -> optax.GradientTransformation:
    # lr (k + 1) / W in the W steps of warm-up, lr, then lr (1 - sqrt(u)) in the last C steps.
    ramp = max(1, round(warmup * workload.step_hint))
    last = max(1, round(cooldown * workload.step_hint))
    turn = max(ramp, workload.step_hint - last)

    def schedule(k: jax.Array) -> jax.Array:
        tail = 1 - jnp.sqrt(jnp.clip((k - turn) / last, 0.0, 1.0))
        return lr * jnp.where(k < ramp, (k + 1) / ramp, tail)

    decayed = ("weight", "head", "tensor")
    matrices = {name: role in decayed for name, role in workload.roles.items()}
    b1 = 1 - one_minus_beta1
    return optax.adamw(schedule, b1, beta2, weight_decay=weight_decay, mask=matrices)
