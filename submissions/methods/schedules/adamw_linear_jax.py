"""AdamW, warm-up and a linear fall to zero (optax; Defazio et al. 2023, arXiv 2310.07831).

The schedule that their theory of the last iterate gives; Bergsma et al. 2025 (arXiv 2502.15938)
find it best for language models. AdamW is Loshchilov and Hutter's, with the package's defaults.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
"""

import jax
import jax.numpy as jnp
import optax

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
}


def submission(
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    warmup: float = 0.05,
) -> optax.GradientTransformation:
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 - (k - W) / (T - W)).
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)

    def schedule(k: jax.Array) -> jax.Array:
        tail = jnp.maximum(0.0, 1 - (k - ramp) / rest)
        return lr * jnp.where(k < ramp, (k + 1) / ramp, tail)

    decayed = ("weight", "head", "tensor")
    matrices = {name: role in decayed for name, role in workload.roles.items()}
    b1 = 1 - one_minus_beta1
    return optax.adamw(schedule, b1, beta2, weight_decay=weight_decay, mask=matrices)
