"""Shrink and perturb, on Adam (own lines; Ash and Adams 2020, arXiv 1910.08475).

The JAX twin of `shrink_and_perturb`, whose docstring describes the method; its noise is another.
"""

import jax
import jax.numpy as jnp
import optax

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "shrink": {"min": 1e-6, "max": 1e-2, "scaling": "log"},
    "perturb": {"min": 1e-5, "max": 1e-2, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    workload: Card,
    lr: float = 1e-3,
    shrink: float = 1e-4,
    perturb: float = 1e-3,
    every: int = 1,
    warmup: float = 0.0,
    decay: str = "constant",
) -> optax.GradientTransformation:
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    fall = optax.cosine_decay_schedule(lr, max(1, workload.step_hint - ramp))
    tail = {"cosine": fall, "constant": optax.constant_schedule(lr)}[decay]
    rise = optax.linear_schedule(lr / ramp, lr, ramp - 1)
    schedule = optax.join_schedules([rise, tail], [ramp])
    roles = workload.roles.items()
    matrices = [name for name, role in roles if role in ("weight", "head", "tensor")]

    def init(params: optax.Params) -> optax.OptState:
        deviations = {name: jnp.std(params[name], ddof=1) for name in matrices}
        return jax.random.key(workload.seed), jnp.zeros((), jnp.int32), deviations

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        assert params is not None
        key, steps, deviations = state
        due = (steps + 1) % every == 0
        renewed = {}
        for number, name in enumerate(matrices):
            p, u = params[name], updates[name]
            draw = jax.random.fold_in(jax.random.fold_in(key, steps), number)
            noise = perturb * deviations[name] * jax.random.normal(draw, p.shape, p.dtype)
            renewed[name] = jnp.where(due, (1 - shrink) * (p + u) + noise - p, u)
        return updates | renewed, (key, steps + 1, deviations)

    return optax.chain(optax.adam(schedule), optax.GradientTransformation(init, update))
