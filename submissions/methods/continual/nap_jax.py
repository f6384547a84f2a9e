"""NaP, normalise and project, round any optimizer (own lines; Lyle et al. 2024, arXiv 2407.01800).

The JAX twin of `nap`, whose docstring describes the method: a transformation after the base's.
"""

import jax.numpy as jnp
import optax

from submissions.contract import Card

SEARCH_SPACE = {
    "base": {"feasible_points": ["sgd", "adamw", "nadamw"]},
    "lr": {"min": 1e-4, "max": 1e-1, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    workload: Card,
    base: str = "adamw",
    lr: float = 1e-3,
    weight_decay: float = 0.01,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> optax.GradientTransformation:
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    fall = optax.cosine_decay_schedule(lr, max(1, workload.step_hint - ramp))
    tail = {"cosine": fall, "constant": optax.constant_schedule(lr)}[decay]
    rise = optax.linear_schedule(lr / ramp, lr, ramp - 1)
    schedule = optax.join_schedules([rise, tail], [ramp])
    free = {name: role in ("head", "tensor") for name, role in workload.roles.items()}
    bases = {
        "sgd": optax.chain(
            optax.add_decayed_weights(weight_decay, free),
            optax.sgd(schedule, momentum=0.9, nesterov=True),
        ),
        "adamw": optax.adamw(schedule, weight_decay=weight_decay, mask=free),
        "nadamw": optax.nadamw(schedule, weight_decay=weight_decay, mask=free),
    }
    inner = bases[base]
    return normalise_and_project(
        inner, [n for n, role in workload.roles.items() if role == "weight"]
    )


def normalise_and_project(
    base: optax.GradientTransformation, matrices: list[str]
) -> optax.GradientTransformation:
    """The base's steps, each ended with the norms that these matrices have at the start."""

    def init(params: optax.Params) -> optax.OptState:
        return base.init(params), {name: jnp.linalg.norm(params[name]) for name in matrices}

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        assert params is not None
        inner, norms = state
        updates, inner = base.update(updates, inner, params)
        after = {name: params[name] + updates[name] for name in matrices}
        projected = {
            name: norms[name] / jnp.linalg.norm(w) * w - params[name] for name, w in after.items()
        }
        return updates | projected, (inner, norms)

    return optax.GradientTransformation(init, update)
