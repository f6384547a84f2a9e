"""L2 Init, a pull towards the initial weights (own lines; Kumar et al. 2023, arXiv 2308.11958).

Regenerative regularisation: `strength` times the squared distance from the start is added to the
loss, so that Adam's step feels it (it is coupled), of every parameter. The paper searches powers
of ten from 1e-2 to 1e-5. The rate is constant (`decay`: or falls as a cosine) after a warm-up.
"""

import jax
import optax

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "strength": {"min": 1e-5, "max": 1e-2, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    workload: Card,
    lr: float = 1e-3,
    strength: float = 1e-3,
    warmup: float = 0.0,
    decay: str = "constant",
) -> optax.GradientTransformation:
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    fall = optax.cosine_decay_schedule(lr, max(1, workload.step_hint - ramp))
    tail = {"cosine": fall, "constant": optax.constant_schedule(lr)}[decay]
    rise = optax.linear_schedule(lr / ramp, lr, ramp - 1)
    schedule = optax.join_schedules([rise, tail], [ramp])
    return optax.chain(pull_back(strength), optax.adam(schedule))


def pull_back(strength: float) -> optax.GradientTransformation:
    """Adds the gradient of `strength` times the squared distance from the start."""

    def init(params: optax.Params) -> optax.OptState:
        return params

    def update(
        g: optax.Updates, start: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        pulled = jax.tree.map(lambda g, p, s: g + 2 * strength * (p - s), g, params, start)
        return pulled, start

    return optax.GradientTransformation(init, update)
