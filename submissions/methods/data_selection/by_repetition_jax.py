"""NadamW on a stream of which a part is repeated (own lines; Hernandez et al., arXiv 2205.10487).

The JAX twin of `by_repetition`, whose docstring describes the method: the same batches are repeated
at the same steps. The optimizer is that of `nadamw_jax`, its rate warming up and falling as a
cosine.
"""

import random
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import optax

from submissions.contract import Arrays, Card, Problem, State

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "share": {"min": 0.05, "max": 0.9, "scaling": "linear"},
    "times": {"min": 2.0, "max": 100.0, "scaling": "log"},
}


def submission(
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    share: float = 0.1,
    times: float = 100.0,
    warmup: float = 0.05,
) -> "Repeated":
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    fall = optax.cosine_decay_schedule(lr, max(1, workload.step_hint - ramp))
    rise = optax.linear_schedule(lr / ramp, lr, ramp - 1)
    schedule = optax.join_schedules([rise, fall], [ramp])
    decayed = ("weight", "head", "tensor")
    matrices = {name: role in decayed for name, role in workload.roles.items()}
    b1 = 1 - one_minus_beta1
    base = optax.nadamw(schedule, b1, beta2, weight_decay=weight_decay, mask=matrices)
    kept = max(1, round(share * workload.step_hint / times))
    return Repeated(base, workload, share, kept)


# Of the module, so that the race finds them compiled; with the place as an argument, for every one.
@jax.jit
def put(kept: Arrays, batch: Arrays, place: int) -> Arrays:
    """The kept batches with this one at a place."""
    return {name: rows.at[place].set(batch[name]) for name, rows in kept.items()}


@jax.jit
def taken(kept: Arrays, place: int) -> Arrays:
    """The kept batch at a place."""
    return {name: rows[place] for name, rows in kept.items()}


class Repeated:
    """State: `steps`, the places of the kept batches, and the package's."""

    def __init__(
        self, base: optax.GradientTransformation, workload: Card, share: float, kept: int
    ) -> None:
        self.base = base
        self.workload = workload
        self.share = share
        self.kept = kept

    def init(self, params: Arrays) -> State:
        """Empty places."""
        size = self.workload.batch_size
        kept = {
            name: jnp.zeros((self.kept, size, *shape), dtype)
            for name, (shape, dtype) in self.workload.examples.items()
        }
        return {"steps": jnp.zeros((), jnp.int32), "kept": kept, "base": self.base.init(params)}

    def select_data(
        self, params: Arrays, state: State, draw: Iterator[Arrays], problem: Problem[jax.Array]
    ) -> tuple[Arrays, State]:
        """A new batch, or one of the kept ones."""
        steps = int(state["steps"])
        if steps < self.kept:
            batch = next(draw)
            own = {name: batch[name] for name in state["kept"]}
            kept = put(state["kept"], own, steps)
            # Taken from there, so that the warm-up compiles that as well.
            return taken(kept, steps), state | {"kept": kept}
        chance = random.Random(f"{self.workload.seed}/{steps}")
        if chance.random() < self.share:
            return taken(state["kept"], chance.randrange(self.kept)), state
        return next(draw), state

    def update(
        self, params: Arrays, state: State, batch: Arrays, problem: Problem[jax.Array]
    ) -> tuple[Arrays, State]:
        """One step of NadamW."""
        _, gradient = problem.value_and_grad(params, batch)
        updates, base = self.base.update(gradient, state["base"], params)
        params = optax.apply_updates(params, updates)
        return params, state | {"steps": state["steps"] + 1, "base": base}
