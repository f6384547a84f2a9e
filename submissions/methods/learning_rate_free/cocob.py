"""COCOB, coin betting: no rate at all (parameterfree; Orabona and Tommasi 2017, arXiv 1705.07795).

Every coordinate bets a share of what it has won on the sign of its next gradient. `alpha` bounds
the first bets, about as many steps of warm-up. The package's defaults; it can decay weights only
by an L2 term, which is left out.
"""

import parameterfree
import torch

from submissions.contract import Parameters

SEARCH_SPACE = {
    "alpha": {"min": 10.0, "max": 1e3, "scaling": "log"},
}


def submission(
    params: Parameters, alpha: float = 100.0, eps: float = 1e-8
) -> torch.optim.Optimizer:
    optimizer: torch.optim.Optimizer = parameterfree.COCOB(params, alpha=alpha, eps=eps)
    return optimizer
