"""Schedule-Free SGD (optax.contrib.schedule_free on SGD; Defazio et al. 2024, arXiv 2405.15682).

No schedule but a warm-up; evaluated at an average of the iterates. The steps are those of the
authors' package, in `schedule_free_sgd`: optax.contrib.schedule_free_sgd begins its warm-up at
zero, a step later, and decays every parameter. Weight decay is coupled (an L2 term in the gradient
at y) and applies to weight matrices alone.
"""

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-2, "max": 1e1, "scaling": "log"},
    "weight_decay": {"min": 1e-6, "max": 1e-3, "scaling": "log"},
}


def submission(
    workload: Card,
    lr: float = 1.0,
    one_minus_momentum: float = 0.1,
    weight_decay: float = 0.0,
    warmup: float = 0.05,
) -> optax.GradientTransformation:
    # lr (k + 1) / W in the W steps of warm-up.
    ramp = max(1, round(warmup * workload.step_hint))

    def schedule(k: jax.Array) -> jax.Array:
        return lr * jnp.minimum(1.0, (k + 1) / ramp)

    decayed = ("weight", "head", "tensor")
    matrices = {name: role in decayed for name, role in workload.roles.items()}
    base = optax.chain(optax.add_decayed_weights(weight_decay, matrices), optax.sgd(schedule))
    # The average is weighted by the rate, and counts its steps from one.
    return optax.contrib.schedule_free(base, lambda k: schedule(k - 1), b1=1 - one_minus_momentum)
