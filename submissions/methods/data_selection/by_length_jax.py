"""NadamW from short examples to long ones (own lines; Platanios et al. 2019, arXiv 1903.09848).

The JAX twin of `by_length`, whose docstring describes the method: the same examples are chosen. A
batch is scored at a time, so that pools of all sizes need one compilation. The optimizer is that of
`nadamw_jax`, its rate warming up and falling as a cosine.
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
    "until": {"feasible_points": [0.25, 0.5, 0.75]},
}
POLICY: dict[str, float] = {}


def submission(
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    pool: int = 4,
    until: float = 0.5,
    warmup: float = 0.05,
) -> optax.GradientTransformation:
    POLICY.update(pool=pool, until=max(1.0, until * workload.step_hint))
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
    """The easiest examples of as many batches as are drawn now."""
    batch = next(draw)
    done = int(state[0].count)
    competence = 1 / POLICY["pool"] + (1 - 1 / POLICY["pool"]) * done / POLICY["until"]
    count = max(1, round(1 / competence))
    if count == 1:
        return batch, state
    drawn = [batch, *(next(draw) for _ in range(count - 1))]
    # Fields that all examples share, a catalogue say, are shorter than the batch.
    size = max(len(array) for array in batch.values())
    own = [name for name, array in batch.items() if len(array) == size]
    scored = [
        one["length"] if "length" in own else np.asarray(problem.losses(params, one))
        for one in drawn
    ]
    easiest = np.argsort(np.concatenate(scored), kind="stable")[:size]
    pool: Drawn = {name: np.concatenate([one[name] for one in drawn]) for name in own}
    return batch | {name: pool[name][easiest] for name in own}, state
