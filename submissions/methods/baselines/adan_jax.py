"""Adan (own lines on optax; Xie et al. 2022, arXiv 2208.06677).

Adam with Nesterov's momentum estimated from gradient differences; one_minus_beta1, _2 and _3 are
what the paper calls beta1 to beta3.
optax.adan of 0.2 is another method: it weights the gradient difference by 1 - b2, not b2.
Weight decay is proximal, the authors' default: w / (1 + lr weight_decay), weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import jax
import jax.numpy as jnp
import optax

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}
EPS = 1e-8


def submission(
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.02,
    one_minus_beta2: float = 0.08,
    one_minus_beta3: float = 0.01,
    weight_decay: float = 0.02,
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
    b1, b2, b3 = 1 - one_minus_beta1, 1 - one_minus_beta2, 1 - one_minus_beta3

    def init(params: optax.Params) -> optax.OptState:
        zeros = [optax.tree.zeros_like(params) for _ in range(4)]
        return (*zeros, jnp.zeros((), jnp.int32))

    def update(
        g: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        m, v, n, last, k = state
        difference = jax.tree.map(lambda new, old: jnp.where(k == 0, 0, new - old), g, last)
        ahead = optax.tree.add_scale(g, b2, difference)
        m = optax.tree.update_moment(g, m, b1, 1)
        v = optax.tree.update_moment(difference, v, b2, 1)
        n = optax.tree.update_moment(ahead, n, b3, 2)
        t, rate = k + 1, schedule(k)
        moments = (optax.tree.bias_correction(x, b, t) for x, b in ((m, b1), (v, b2), (n, b3)))

        def step(
            m: jax.Array, v: jax.Array, n: jax.Array, p: jax.Array, is_matrix: bool
        ) -> jax.Array:
            shrink = rate * weight_decay * is_matrix
            return -(rate * (m + b2 * v) / (jnp.sqrt(n) + EPS) + shrink * p) / (1 + shrink)

        return jax.tree.map(step, *moments, params, matrices), (m, v, n, g, t)

    return optax.GradientTransformation(init, update)
