"""SGD with the capped Polyak step (optax.polyak_sgd; Loizou et al. 2020, arXiv 2002.10542).

The rate is (loss - `f_min`) over c times the squared norm of the gradient, and at most c `max_lr`,
where c is `scaling`. The paper's cap has no factor c, and its smoothing of the cap is left out.
"""

import optax

SEARCH_SPACE = {
    "max_lr": {"min": 1e-2, "max": 1e1, "scaling": "log"},
    "scaling": {"min": 0.1, "max": 2.0, "scaling": "log"},
}


def submission(
    max_lr: float = 1.0, scaling: float = 1.0, f_min: float = 0.0
) -> optax.GradientTransformation:
    return optax.polyak_sgd(max_lr, scaling, f_min)
