"""Sophia-G, clipped steps by the curvature of sampled labels (optax.contrib; arXiv 2305.14342).

Liu et al. 2023. The JAX twin of `sophia_g`, whose docstring describes the method: the same estimate
given to the package's steps.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from submissions.contract import Arrays, Card, Problem

SEARCH_SPACE = {
    "lr": {"min": 1e-5, "max": 3e-2, "scaling": "log"},
    "gamma": {"min": 1e-3, "max": 1e-1, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.035,
    beta2: float = 0.99,
    gamma: float = 0.05,
    period: int = 10,
    weight_decay: float = 0.1,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> "SophiaG":
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    fall = optax.cosine_decay_schedule(lr, max(1, workload.step_hint - ramp))
    tail = {"cosine": fall, "constant": optax.constant_schedule(lr)}[decay]
    rise = optax.linear_schedule(lr / ramp, lr, ramp - 1)
    schedule = optax.join_schedules([rise, tail], [ramp])
    decayed = ("weight", "head", "tensor")
    matrices = {name: role in decayed for name, role in workload.roles.items()}
    base = optax.contrib.sophia(
        schedule,
        b1=1 - one_minus_beta1,
        b2=beta2,
        weight_decay=weight_decay,
        weight_decay_mask=matrices,
        gamma=gamma,
        update_interval=period,
        hessian_diagonal_fn=bartlett(workload.seed),
    )
    return SophiaG(base)


def bartlett(seed: int) -> optax.GradientTransformationExtraArgs:
    """Gauss-Newton-Bartlett's diagonal, of what `update` is given as `obj_fn`."""

    def init(params: optax.Params) -> jax.Array:
        return jax.random.key(seed)

    def update(
        updates: optax.Updates,
        key: jax.Array,
        params: optax.Params | None = None,
        *,
        obj_fn: Callable[[optax.Params | None, jax.Array], optax.Updates],
        **_: object,
    ) -> tuple[optax.Updates, jax.Array]:
        kept, used = jax.random.split(key)
        return obj_fn(params, used), kept

    return optax.GradientTransformationExtraArgs(init, update)


class SophiaG:
    """State: the package's; its transformation is given the estimate here."""

    def __init__(self, base: optax.GradientTransformationExtraArgs) -> None:
        self.base = base

    def init(self, params: Arrays) -> optax.OptState:
        """The package's state."""
        return self.base.init(params)

    def update(
        self, params: Arrays, state: optax.OptState, batch: Arrays, problem: Problem[jax.Array]
    ) -> tuple[Arrays, optax.OptState]:
        """One step of the package's."""

        def diagonal(at: Arrays, key: jax.Array) -> Arrays:
            sampled = self._sampled(at, batch, problem, key)
            count = problem.measure(at, sampled)["count"]
            _, gradient = problem.value_and_grad(at, sampled)
            return {name: count * g**2 for name, g in gradient.items()}

        _, gradient = problem.value_and_grad(params, batch)
        updates, state = self.base.update(gradient, state, params, obj_fn=diagonal)
        return optax.apply_updates(params, updates), state

    def _sampled(
        self, params: Arrays, batch: Arrays, problem: Problem[jax.Array], key: jax.Array
    ) -> Arrays:
        """The batch with labels of the model's own."""
        if "label" not in batch or problem.classes is None:
            return batch
        label = batch["label"]
        given = [batch | {"label": jnp.full_like(label, c)} for c in range(problem.classes)]
        nats = jnp.stack([problem.losses(params, one) for one in given], axis=1)
        drawn = jax.random.categorical(key, -nats, axis=1)
        return batch | {"label": drawn.astype(label.dtype)}
