"""AdEMAMix (optax.contrib.ademamix; Pagliardini et al. 2024, arXiv 2409.03137).

AdamW with a second, slow momentum, whose share `alpha` and memory `beta3` rise over the horizon:
alpha linearly, beta3 in its half-life, as in the paper.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "alpha": {"min": 2.0, "max": 16.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    beta3: float = 0.9999,
    alpha: float = 5.0,
    weight_decay: float = 0.01,
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

    def share(k: jax.Array) -> jax.Array:
        return alpha * jnp.minimum(1.0, (k + 1) / workload.step_hint)

    def memory(k: jax.Array) -> jax.Array:
        u = jnp.minimum(1.0, (k + 1) / workload.step_hint)
        first, last = jnp.log(b1), jnp.log(beta3)
        return jnp.minimum(jnp.exp(first * last / ((1 - u) * last + u * first)), beta3)

    return contrib.ademamix(
        schedule, b1, beta2, b3=memory, alpha=share, weight_decay=weight_decay, mask=matrices
    )
