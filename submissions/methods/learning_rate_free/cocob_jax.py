"""COCOB, continuous coin betting (optax.contrib.cocob; Orabona and Tommasi 2017, arXiv 1705.07795).

Each coordinate bets its winnings on the sign of its next gradient: no rate, no schedule. This is
the paper's backprop variant with its `alpha`.
"""

import optax
import optax.contrib

SEARCH_SPACE = {
    "alpha": {"min": 10.0, "max": 1e3, "scaling": "log"},
}


def submission(alpha: float = 100.0, eps: float = 1e-8) -> optax.GradientTransformation:
    return optax.contrib.cocob(alpha=alpha, eps=eps)
