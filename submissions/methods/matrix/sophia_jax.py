"""Sophia-H, clipped steps by the Hessian's diagonal (optax.contrib; Liu et al., arXiv 2305.14342).

Of 2023. Momentum over a running mean of the diagonal, estimated every `period` steps by
Hutchinson's u * (H u) with signs u (the paper: normal), and clipped to one element by element.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import jax
import optax
import optax.contrib

from submissions.contract import Arrays, Card, Problem

SEARCH_SPACE = {
    "lr": {"min": 1e-5, "max": 3e-2, "scaling": "log"},
    "gamma": {"min": 1e-3, "max": 1e-1, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.035,
    beta2: float = 0.99,
    gamma: float = 0.01,
    period: int = 10,
    weight_decay: float = 0.1,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> "Sophia":
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    fall = optax.cosine_decay_schedule(lr, max(1, workload.step_hint - ramp))
    tail = {"cosine": fall, "constant": optax.constant_schedule(lr)}[decay]
    rise = optax.linear_schedule(lr / ramp, lr, ramp - 1)
    schedule = optax.join_schedules([rise, tail], [ramp])
    decayed = ("weight", "head", "tensor")
    matrices = {name: role in decayed for name, role in workload.roles.items()}
    signs = optax.contrib.hutchinson_estimator_diag_hessian(jax.random.key(workload.seed))
    base = optax.contrib.sophia(
        schedule,
        b1=1 - one_minus_beta1,
        b2=beta2,
        weight_decay=weight_decay,
        weight_decay_mask=matrices,
        gamma=gamma,
        update_interval=period,
        hessian_diagonal_fn=signs,
    )
    return Sophia(base)


class Sophia:
    """State: the package's; its transformation is given the objective here."""

    def __init__(self, base: optax.GradientTransformationExtraArgs) -> None:
        self.base = base

    def init(self, params: Arrays) -> optax.OptState:
        """The package's state."""
        return self.base.init(params)

    def update(
        self, params: Arrays, state: optax.OptState, batch: Arrays, problem: Problem[jax.Array]
    ) -> tuple[Arrays, optax.OptState]:
        """One step of the package's."""

        def objective(at: Arrays) -> jax.Array:
            return problem.loss(at, batch)

        _, gradient = problem.value_and_grad(params, batch)
        updates, state = self.base.update(gradient, state, params, obj_fn=objective)
        return optax.apply_updates(params, updates), state
