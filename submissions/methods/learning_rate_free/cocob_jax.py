"""COCOB, continuous coin betting (optax.contrib.cocob; Orabona and Tommasi 2017, arXiv 1705.07795).

Each coordinate bets its winnings on the sign of its next gradient: no rate, no schedule. This is
the paper's backprop variant with its `alpha`.
"""

import optax
import optax.contrib

SEARCH_SPACE = {
    "alpha": {"min": 1e1, "max": 1e3, "scaling": "log"},
}


def submission(lr: float = 1.0, alpha: float = 100.0) -> optax.GradientTransformation:
    return optax.contrib.cocob(lr, alpha)
