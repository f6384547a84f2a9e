"""MoMo-Adam, model-based momentum for Adam (optax.contrib; Schaipp et al. 2023, arXiv 2305.07583).

Adam whose rate is the lesser of `lr` and a Polyak step to `lower_bound`, the least loss thought
possible: where `lr` binds, it is Adam. Constant `lr`, as the authors advise. Weight decay applies
to every parameter, outside the step, where the authors' package has it inside.
"""

import optax
import optax.contrib

SEARCH_SPACE = {
    "lr": {"min": 1e-3, "max": 1e-1, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
}


def submission(
    lr: float = 1e-2,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    lower_bound: float = 0.0,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    return optax.contrib.momo_adam(
        lr, 1 - one_minus_beta1, beta2, lower_bound=lower_bound, weight_decay=weight_decay
    )
