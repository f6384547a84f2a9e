"""DoG, distance over gradients (optax.contrib.dog; Ivgi, Hinder and Carmon 2023, arXiv 2302.12022).

SGD whose rate is the largest distance from the start over the root of the summed squared
gradients. The first step is `reps_rel` (1 + |x0|), as in the authors' package. They judge an
average of the iterates, this file the last one.
"""

import optax
import optax.contrib

SEARCH_SPACE = {
    "reps_rel": {"min": 1e-8, "max": 1e-4, "scaling": "log"},
}


def submission(lr: float = 1.0, reps_rel: float = 1e-6) -> optax.GradientTransformation:
    return optax.contrib.dog(lr, init_step=("heuristic", reps_rel))
