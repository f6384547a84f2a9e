"""SAM on SGD (own lines on optax.sgd; Foret et al. 2020, arXiv 2010.01412).

Sharpness-aware minimisation takes the gradient at the weights moved by `rho` along the normalised
gradient of the same batch: two gradients a step. The base is SGD with Nesterov momentum.
optax.contrib.sam wants the gradient as a function, which a transformation here is not given.
Weight decay is coupled (an L2 term in the gradient) and applies to weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import jax
import optax

from submissions.contract import Card, Problem

SEARCH_SPACE = {
    "lr": {"min": 1e-3, "max": 3.0, "scaling": "log"},
    "rho": {"min": 5e-3, "max": 0.5, "scaling": "log"},
    "weight_decay": {"min": 1e-6, "max": 1e-3, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}
TINY = 1e-12


def submission(
    workload: Card,
    lr: float = 1e-3,
    rho: float = 0.05,
    one_minus_momentum: float = 0.1,
    weight_decay: float = 0.0,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> "Sam":
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    fall = optax.cosine_decay_schedule(lr, max(1, workload.step_hint - ramp))
    tail = {"cosine": fall, "constant": optax.constant_schedule(lr)}[decay]
    rise = optax.linear_schedule(lr / ramp, lr, ramp - 1)
    schedule = optax.join_schedules([rise, tail], [ramp])
    decayed = ("weight", "head", "tensor")
    matrices = {name: role in decayed for name, role in workload.roles.items()}
    base = optax.chain(
        optax.add_decayed_weights(weight_decay, matrices),
        optax.sgd(schedule, momentum=1 - one_minus_momentum, nesterov=True),
    )
    return Sam(base, rho)


class Sam:
    """State: the base's."""

    def __init__(self, base: optax.GradientTransformation, rho: float) -> None:
        self.base = base
        self.rho = rho

    def init(self, params: optax.Params) -> optax.OptState:
        """The base's state."""
        return self.base.init(params)

    def update(
        self,
        params: optax.Params,
        state: optax.OptState,
        batch: dict[str, jax.Array],
        problem: Problem[jax.Array],
    ) -> tuple[optax.Params, optax.OptState]:
        """Up along the gradient, then down from here by the gradient there."""
        _, gradient = problem.value_and_grad(params, batch)
        scale = self.rho / (optax.tree.norm(gradient) + TINY)
        above = jax.tree.map(lambda p, g: p + scale * g, params, gradient)
        _, gradient = problem.value_and_grad(above, batch)
        updates, state = self.base.update(gradient, state, params)
        return optax.apply_updates(params, updates), state
