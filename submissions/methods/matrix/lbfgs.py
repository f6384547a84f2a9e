"""L-BFGS with a strong Wolfe line search (torch.optim.LBFGS; Liu and Nocedal 1989).

A step is up to `max_iter` iterations on one batch, with about as many gradients again for the line
search; all are on the clock. Curvature pairs stay from one batch to the next, which the method was
not made for. The package's own defaults are 20 iterations and 100 pairs; these cost less. The
directions are those of `lbfgs_jax`, whose zoom search and first scale are others. No weight decay.
"""

import torch

from submissions.contract import Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-2, "max": 1.0, "scaling": "log"},
    "max_iter": {"feasible_points": [1, 4, 20]},
    "history": {"feasible_points": [5, 10, 50]},
}


def submission(
    params: Parameters, lr: float = 1.0, max_iter: int = 4, history: int = 10
) -> torch.optim.Optimizer:
    return torch.optim.LBFGS(
        params,
        lr=lr,
        max_iter=max_iter,
        history_size=history,
        line_search_fn="strong_wolfe",
    )
