"""Schedule-Free AdamW (optax.contrib.schedule_free on AdamW's parts; Defazio et al. 2405.15682).

No schedule but a warm-up; evaluated at an average of the iterates. The steps are those of the
authors' package, in `schedule_free_adamw`: optax.contrib.schedule_free_adamw begins its warm-up at
zero, a step later, and decays every parameter. Weight decay applies to weight matrices alone.
"""

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
}


def submission(
    workload: Card,
    lr: float = 2.5e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.0,
    warmup: float = 0.05,
) -> optax.GradientTransformation:
    # lr (k + 1) / W in the W steps of warm-up.
    ramp = max(1, round(warmup * workload.step_hint))

    def schedule(k: jax.Array) -> jax.Array:
        return lr * jnp.minimum(1.0, (k + 1) / ramp)

    decayed = ("weight", "head", "tensor")
    matrices = {name: role in decayed for name, role in workload.roles.items()}
    base = optax.chain(
        optax.scale_by_rms(beta2, eps_in_sqrt=False, bias_correction=True),
        optax.add_decayed_weights(weight_decay, matrices),
        optax.scale_by_learning_rate(schedule),
    )
    # The average is weighted by the rate, and counts its steps from one.
    return optax.contrib.schedule_free(base, lambda k: schedule(k - 1), b1=1 - one_minus_beta1)
