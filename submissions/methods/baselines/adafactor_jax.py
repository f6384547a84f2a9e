"""Adafactor (optax.adafactor; Shazeer and Stern 2018, arXiv 1804.04235).

The second moment of a matrix is kept as its row and column sums; the step is relative to the
weights' root mean square. As in torch the rate is capped at 1/sqrt(t), and dimensions
below optax's 128 are factored too; a tensor of more axes is factored along its two largest,
in torch along its two last.
Weight decay is decoupled, multiplied by the rate as it is before that cap, and applies to weight
matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import jax
import jax.numpy as jnp
import optax

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-3, "max": 0.3, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    workload: Card,
    lr: float = 0.01,
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

    def capped(k: jax.Array) -> jax.Array:
        return jnp.minimum(schedule(k), 1 / jnp.sqrt(k + 1.0))

    return optax.adafactor(
        capped,
        min_dim_size_to_factor=1,
        weight_decay_rate=lambda k: weight_decay * schedule(k),
        weight_decay_mask=matrices,
    )
