"""NadamW on examples of concentrated angles first (own lines; Wang et al., arXiv 2506.02281).

The JAX twin of `by_angle`, whose docstring describes the method: the same concentration, ranks and
choice, within the compiled step. The optimizer is that of `nadamw_jax`, its rate warming up and
falling as a cosine.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax

from submissions.contract import Arrays, Card, Problem, State

Drawn = dict[str, jax.Array | np.ndarray]

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "pool": {"min": 2, "max": 4, "scaling": "linear"},
}
DIGITS = 4
"""Of a concentration: differences below are rounding."""


def submission(
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    pool: int = 2,
    warmup: float = 0.05,
) -> "ByAngle":
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    fall = optax.cosine_decay_schedule(lr, max(1, workload.step_hint - ramp))
    rise = optax.linear_schedule(lr / ramp, lr, ramp - 1)
    schedule = optax.join_schedules([rise, fall], [ramp])
    decayed = ("weight", "head", "tensor")
    matrices = {name: role in decayed for name, role in workload.roles.items()}
    b1 = 1 - one_minus_beta1
    base = optax.nadamw(schedule, b1, beta2, weight_decay=weight_decay, mask=matrices)
    return ByAngle(base, last_matrix(workload), pool, max(1, workload.step_hint))


def last_matrix(workload: Card) -> str:
    """The last hidden matrix; where there is none, the head or what else has two dimensions."""
    matrices = [name for name, shape in workload.shapes.items() if len(shape) > 1]
    hidden = [name for name in matrices if workload.roles[name] == "weight"]
    return (hidden or matrices)[-1]


def concentration(gradient: jax.Array) -> jax.Array:
    """Of each example's gradient, (examples, out, in or more), between 0 and 1."""
    rows = gradient.reshape(*gradient.shape[:2], -1)
    narrow = rows if rows.shape[1] < rows.shape[2] else rows.mT
    size = jnp.maximum((rows**2).sum((1, 2)), 1e-30)
    return jnp.sqrt(((narrow @ narrow.mT) ** 2).sum((1, 2))) / size


class ByAngle:
    """State: `steps`, and the package's."""

    def __init__(
        self, base: optax.GradientTransformation, scored: str, pool: int, horizon: int
    ) -> None:
        self.base = base
        self.scored = scored
        self.pool = pool
        self.horizon = horizon

    def init(self, params: Arrays) -> State:
        """The package's state."""
        return {"steps": jnp.zeros((), jnp.int32), "base": self.base.init(params)}

    def select_data(
        self,
        params: Drawn,
        state: State,
        draw: Iterator[Drawn],
        problem: Problem[jax.Array | np.ndarray],
    ) -> tuple[Drawn, State]:
        """The whole pool: `update` chooses."""
        drawn = [next(draw) for _ in range(self.pool)]
        size = max(len(array) for array in drawn[0].values())
        own = [name for name, array in drawn[0].items() if len(array) == size]
        pool: Drawn = {name: np.concatenate([one[name] for one in drawn]) for name in own}
        return drawn[0] | pool, state

    def update(
        self, params: Arrays, state: State, batch: Arrays, problem: Problem[jax.Array]
    ) -> tuple[Arrays, State]:
        """Choose, and one step of NadamW."""
        chosen = self._chosen(params, state["steps"], batch, problem)
        _, gradient = problem.value_and_grad(params, chosen)
        updates, base = self.base.update(gradient, state["base"], params)
        params = optax.apply_updates(params, updates)
        return params, {"steps": state["steps"] + 1, "base": base}

    def _chosen(
        self, params: Arrays, steps: jax.Array, batch: Arrays, problem: Problem[jax.Array]
    ) -> Arrays:
        count = max(len(array) for array in batch.values())
        own = {name: array for name, array in batch.items() if len(array) == count}
        shared = {name: array for name, array in batch.items() if name not in own}

        def loss(matrix: jax.Array, example: Arrays) -> jax.Array:
            rows = {name: value[None] for name, value in example.items()}
            return problem.loss(params | {self.scored: matrix}, shared | rows)

        gradient = jax.vmap(jax.grad(loss), (None, 0))(params[self.scored], own)
        score = concentration(gradient).round(DIGITS)
        size = count // self.pool
        past = jnp.minimum(1.0, steps / self.horizon)
        start = jnp.where(score.min() < score.max(), jnp.round(past * (count - size)), 0)
        ranks = jnp.argsort(score, descending=True, stable=True)
        chosen = jax.lax.dynamic_slice_in_dim(ranks, start.astype(jnp.int32), size)
        return shared | {name: array[chosen] for name, array in own.items()}
