"""Homeostatic learning rate: a simulated look ahead decides whether it moves (arXiv 2205.08645).

The JAX twin of `homeostat`, whose docstring describes the method: the same rules and the same
hyperparameters, as pure functions.
"""

from typing import Any

import jax
import jax.numpy as jnp

from submissions.contract import Arrays, Problem

SEARCH_SPACE = {
    "lr": {"min": 1e-3, "max": 3e-1, "scaling": "log"},
    "fraction": {"min": 1e-3, "max": 3e-1, "scaling": "log"},
}
FLOOR = 1e-8
GAIN_STEP, GAIN_LIMIT = 1.05, 4.0
TINY = 1e-30

State = dict[str, Any]


def submission(
    lr: float = 0.1,
    fraction: float = 0.1,
    memory: int = 20,
    per_unit: bool = False,
) -> "Homeostat":
    return Homeostat(lr, fraction * lr, memory, per_unit)


class Homeostat:
    """State: `rate` (0-d); with gains also `gains` and `last`, the gradient before, by matrix."""

    def __init__(self, rate: float, change: float, memory: int, per_unit: bool) -> None:
        self.rate = rate
        self.change = change
        self.memory = memory
        self.per_unit = per_unit

    def init(self, params: Arrays) -> State:
        """The initial rate, gains of one."""
        state: State = {"rate": jnp.array(self.rate, jnp.float32)}
        if self.per_unit:
            matrices = {name: p for name, p in params.items() if p.ndim > 1}
            state["gains"] = {
                name: jnp.ones((len(p), *[1] * (p.ndim - 1))) for name, p in matrices.items()
            }
            state["last"] = {name: jnp.zeros_like(p) for name, p in matrices.items()}
        return state

    def update(
        self, params: Arrays, state: State, batch: Arrays, problem: Problem[jax.Array]
    ) -> tuple[Arrays, State]:
        """Regulate, then descend."""
        _, gradient = problem.value_and_grad(params, batch)
        new: State = {}
        direction = gradient
        if self.per_unit:
            new["gains"] = {
                name: _regulated(state["gains"][name], gradient[name], state["last"][name])
                for name in state["gains"]
            }
            new["last"] = {name: gradient[name] for name in state["gains"]}
            scaled = {name: gain * gradient[name] for name, gain in new["gains"].items()}
            direction = gradient | scaled
        recent = {name: array[-self.memory :] for name, array in batch.items()}
        new["rate"] = self._decide(params, direction, state["rate"], recent, problem)
        return _moved(params, direction, new["rate"]), new

    def _decide(
        self,
        params: Arrays,
        direction: Arrays,
        rate: jax.Array,
        recent: Arrays,
        problem: Problem[jax.Array],
    ) -> jax.Array:
        def ahead(at: jax.Array) -> Arrays:
            return problem.measure(_moved(params, direction, at), recent)

        higher, lower = rate + self.change, jnp.maximum(rate - self.change, FLOOR)
        last = {name: array[-1:] for name, array in recent.items()}
        seen = problem.measure(params, last) if "label" in recent else {}
        if "predicted" not in seen:
            return jnp.where(ahead(higher)["loss"] < ahead(lower)["loss"], higher, lower)
        half = len(seen["predicted"]) / 2
        asked = jnp.where(seen["predicted"].argmax() >= half, higher, lower)
        due = jnp.where(last["label"][0] >= half, higher, lower)
        better = ahead(asked)["correct"] > ahead(rate)["correct"]
        return jnp.where(better, due, rate)


def _moved(params: Arrays, direction: Arrays, rate: jax.Array) -> Arrays:
    return {name: p - rate * direction[name] for name, p in params.items()}


def _per_unit(array: jax.Array) -> jax.Array:
    """The sum over all axes but the first, kept as axes of length one."""
    return array.sum(tuple(range(1, array.ndim)), keepdims=True)


def _regulated(gain: jax.Array, gradient: jax.Array, last: jax.Array) -> jax.Array:
    sizes = jnp.sqrt(_per_unit(gradient**2) * _per_unit(last**2))
    cosine = _per_unit(gradient * last) / jnp.maximum(sizes, TINY)
    moved = jnp.clip(gain * GAIN_STEP**cosine, 1 / GAIN_LIMIT, GAIN_LIMIT)
    return moved / moved.mean()
