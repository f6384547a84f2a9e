"""LAWA, latest weight averaging, on NadamW (own lines on optax.nadamw; arXiv 2209.14981).

Kaddour 2022: judged by the plain mean of the last `keep` snapshots, one every `every` of the
horizon from `begin` of it on; by the weights themselves before. The defaults are those of
AlgoPerf's LAWA (also arXiv 2306.03241), whose queue holds ten; NadamW is that of `nadamw_jax`.
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
    "every": {"feasible_points": [0.002, 0.005, 0.02]},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


class Snapshots(NamedTuple):
    """Steps made, snapshots taken, and the latest of these along a first axis."""

    steps: jax.Array
    taken: jax.Array
    weights: optax.Params


def submission(
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    keep: int = 10,
    every: float = 0.002,
    begin: float = 0.02,
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
    nadamw = optax.nadamw(schedule, b1, beta2, weight_decay=weight_decay, mask=matrices)
    first = round(begin * workload.step_hint)
    period = max(1, round(every * workload.step_hint))
    return optax.chain(nadamw, snapshots(keep, first, period))


def snapshots(keep: int, first: int, period: int) -> optax.GradientTransformation:
    """Leaves updates as they are, and keeps where they lead at every period's end."""

    def init(params: optax.Params) -> Snapshots:
        none = jnp.zeros((), jnp.int32)
        empty = {name: jnp.zeros((keep, *p.shape), p.dtype) for name, p in params.items()}
        return Snapshots(none, none, empty)

    def update(
        updates: optax.Updates, state: Snapshots, params: optax.Params | None = None
    ) -> tuple[optax.Updates, Snapshots]:
        count = state.steps + 1
        due = (count >= first) & (count % period == 0)
        after = optax.apply_updates(params, updates)
        at = state.taken % keep
        weights = {
            name: old.at[at].set(jnp.where(due, after[name], old[at]))
            for name, old in state.weights.items()
        }
        return updates, Snapshots(count, state.taken + due, weights)

    return optax.GradientTransformation(init, update)


def eval_params(params: optax.Params, state: optax.OptState) -> optax.Params:
    """The mean of the snapshots; the weights themselves where there is none."""
    _, count, weights = state[-1]

    def mean(p: jax.Array, snapshots: jax.Array) -> jax.Array:
        # Places not taken yet are zero.
        return jnp.where(
            count > 0, snapshots.sum(0) / jnp.clip(count, 1, len(snapshots)), p
        ).astype(p.dtype)

    return {name: mean(p, weights[name]) for name, p in params.items()}
