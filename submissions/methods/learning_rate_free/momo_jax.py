"""MoMo, model-based momentum (optax.contrib.momo; Schaipp et al. 2023, arXiv 2305.07583).

SGD with momentum whose rate is the lesser of `lr` and a Polyak step to `lower_bound`, the least
loss thought possible. Constant `lr`, as the authors advise. Weight decay applies to every
parameter, outside the step, where the authors' package has it inside.
"""

import optax
import optax.contrib

SEARCH_SPACE = {
    "lr": {"min": 1e-1, "max": 1e1, "scaling": "log"},
    "weight_decay": {"min": 1e-6, "max": 1e-2, "scaling": "log"},
}


def submission(
    lr: float = 1.0,
    one_minus_beta: float = 0.1,
    lower_bound: float = 0.0,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    return optax.contrib.momo(lr, 1 - one_minus_beta, lower_bound, weight_decay)
