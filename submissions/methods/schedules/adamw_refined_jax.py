"""AdamW under a schedule refined from a first run (own lines; Defazio et al., arXiv 2310.07831).

The JAX twin of `adamw_refined`, whose docstring describes the method: the same rates, the same
steps.
"""

import jax
import jax.numpy as jnp
import optax

from submissions.contract import Arrays, Card, Problem, State

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "first": {"feasible_points": [0.1, 0.2, 0.4]},
}


def submission(
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    first: float = 0.2,
    smoothing: float = 0.1,
    warmup: float = 0.05,
) -> "Refined":
    decayed = ("weight", "head", "tensor")
    matrices = {name: role in decayed for name, role in workload.roles.items()}
    adam = optax.adamw(1.0, 1 - one_minus_beta1, beta2, weight_decay=weight_decay, mask=matrices)
    proxy = max(4, round(first * workload.step_hint))
    rest = max(2, workload.step_hint - proxy)
    return Refined(adam, lr, proxy, rest, max(1, round(warmup * proxy)), smoothing)


def refined(norms: jax.Array, smoothing: float) -> jax.Array:
    """The rate by step as a share of the largest, from the gradient norms of a run."""
    half = int(smoothing * len(norms) / 2)
    head, tail = jnp.repeat(norms[:1], half), norms[-half - 1 : -1][::-1]
    padded = jnp.concatenate([head, norms, tail])
    windows = jnp.arange(len(norms))[:, None] + jnp.arange(2 * half + 1)
    weights = 1 / jnp.maximum(jnp.median(padded[windows], axis=1), 1e-30)
    rates = weights * (weights.sum() - jnp.cumsum(weights))
    return rates / rates.max()


class Refined:
    """State: `steps`, the weights of the `start`, the first run's `norms`, the `rates` after it."""

    def __init__(
        self,
        adam: optax.GradientTransformation,
        lr: float,
        proxy: int,
        rest: int,
        ramp: int,
        smoothing: float,
    ) -> None:
        self.adam = adam
        self.lr = lr
        self.proxy = proxy
        self.rest = rest
        self.ramp = ramp
        self.smoothing = smoothing

    def init(self, params: Arrays) -> State:
        """The start is remembered."""
        return {
            "steps": jnp.zeros((), jnp.int32),
            "start": params,
            "norms": jnp.zeros(self.proxy),
            "rates": jnp.zeros(self.proxy),
            "adam": self.adam.init(params),
        }

    def update(
        self, params: Arrays, state: State, batch: Arrays, problem: Problem[jax.Array]
    ) -> tuple[Arrays, State]:
        """One step of the first run, or of the second, which begins anew."""
        k = state["steps"]
        params, adam, rates = jax.lax.cond(
            k == self.proxy,
            lambda: self._anew(state),
            lambda: (params, state["adam"], state["rates"]),
        )
        _, gradient = problem.value_and_grad(params, batch)
        norm = sum(jnp.abs(g).sum() for g in gradient.values())
        norms = state["norms"].at[k].set(norm, mode="drop")
        updates, adam = self.adam.update(gradient, adam, params)
        rate = self.lr * self._factor(k, rates)
        params = {name: p + rate * updates[name] for name, p in params.items()}
        new = {"steps": k + 1, "norms": norms, "rates": rates, "adam": adam}
        return params, state | new

    def _anew(self, state: State) -> tuple[Arrays, optax.OptState, jax.Array]:
        start = state["start"]
        return start, self.adam.init(start), refined(state["norms"], self.smoothing)

    def _factor(self, k: jax.Array, rates: jax.Array) -> jax.Array:
        fall = 1 - (k - self.ramp) / (self.proxy - self.ramp)
        before = jnp.where(k < self.ramp, (k + 1) / self.ramp, fall)
        # Between two of the first run's steps, in a straight line.
        place = jnp.clip((k - self.proxy) / (self.rest - 1), 0.0, 1.0) * (len(rates) - 1)
        after = jnp.interp(place, jnp.arange(len(rates)), rates)
        return jnp.where(k < self.proxy, before, after)
