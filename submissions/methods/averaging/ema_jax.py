"""EMA of the weights on AdamW (own lines on optax.adamw; Polyak and Juditsky 1992).

Judged by an exponential moving average of the iterates, `ema` a step, that begins at the first of
them. AdamW is Loshchilov and Hutter's.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "ema": {"feasible_points": [0.99, 0.999, 0.9999]},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


class Average(NamedTuple):
    """How many steps there were, and the average of the weights after them."""

    steps: jax.Array
    weights: optax.Params


def submission(
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    ema: float = 0.999,
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
    adamw = optax.adamw(schedule, b1, beta2, weight_decay=weight_decay, mask=matrices)
    return optax.chain(adamw, averaged(ema))


def averaged(ema: float) -> optax.GradientTransformation:
    """Leaves updates as they are, and averages where they lead."""

    def init(params: optax.Params) -> Average:
        return Average(jnp.zeros((), jnp.int32), params)

    def update(
        updates: optax.Updates, state: Average, params: optax.Params | None = None
    ) -> tuple[optax.Updates, Average]:
        share = jnp.where(state.steps == 0, 1.0, 1 - ema)
        after = optax.apply_updates(params, updates)
        weights = {
            name: (old + share * (after[name] - old)).astype(old.dtype)
            for name, old in state.weights.items()
        }
        return updates, Average(state.steps + 1, weights)

    return optax.GradientTransformation(init, update)


def eval_params(params: optax.Params, state: optax.OptState) -> optax.Params:
    """The averages; the initial weights before the first step."""
    return state[-1].weights
