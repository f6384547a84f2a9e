"""NadamW on the hard part of the stream (own lines; Jiang et al. 2019, arXiv 1910.00762).

The JAX twin of `by_loss`, whose docstring describes the method: the same examples are chosen. The
optimizer is that of `nadamw_jax`, its rate warming up and falling as a cosine.
"""

from collections.abc import Iterator

import jax
import numpy as np
import optax

from submissions.contract import Card, Problem

Drawn = dict[str, jax.Array | np.ndarray]

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "pool": {"min": 2, "max": 4, "scaling": "linear"},
}
POLICY: dict[str, int] = {}


def submission(
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    pool: int = 2,
    begin: float = 0.0,
    plain: int = 0,
    warmup: float = 0.05,
) -> optax.GradientTransformation:
    POLICY.update(pool=pool, begin=round(begin * workload.step_hint), plain=plain)
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    fall = optax.cosine_decay_schedule(lr, max(1, workload.step_hint - ramp))
    rise = optax.linear_schedule(lr / ramp, lr, ramp - 1)
    schedule = optax.join_schedules([rise, fall], [ramp])
    decayed = ("weight", "head", "tensor")
    matrices = {name: role in decayed for name, role in workload.roles.items()}
    b1 = 1 - one_minus_beta1
    return optax.nadamw(schedule, b1, beta2, weight_decay=weight_decay, mask=matrices)


def select_data(
    params: Drawn,
    state: optax.OptState,
    draw: Iterator[Drawn],
    problem: Problem[jax.Array | np.ndarray],
) -> tuple[Drawn, optax.OptState]:
    """The hardest examples of the pool, as many as one batch has."""
    batch = next(draw)
    done = int(state[0].count)
    if done < POLICY["begin"] or (POLICY["plain"] and done % POLICY["plain"] == 0):
        return batch, state
    drawn = [batch, *(next(draw) for _ in range(POLICY["pool"] - 1))]
    # Fields that all examples share, a catalogue say, are shorter than the batch.
    size = max(len(array) for array in batch.values())
    own = [name for name, array in batch.items() if len(array) == size]
    pool: Drawn = {name: np.concatenate([one[name] for one in drawn]) for name in own}
    losses = np.asarray(problem.losses(params, batch | pool))
    hardest = np.argsort(-losses, kind="stable")[:size]
    return batch | {name: pool[name][hardest] for name in own}, state
