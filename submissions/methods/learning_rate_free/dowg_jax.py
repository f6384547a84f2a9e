"""DoWG, distance over weighted gradients (optax.contrib; Khaled et al. 2023, arXiv 2305.16284).

Normalised gradient descent without a rate: like DoG, with every gradient weighted by the distance
from the start. `eps` is, as in the authors' code, both the first squared distance and added to the
denominator; their pseudo-code has it in the distance alone.
"""

import optax
import optax.contrib

SEARCH_SPACE = {
    "eps": {"min": 1e-8, "max": 1e-2, "scaling": "log"},
}


def submission(lr: float = 1.0, eps: float = 1e-4) -> optax.GradientTransformation:
    return optax.contrib.dowg(lr, eps=eps)
