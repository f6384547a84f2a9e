"""L-BFGS with a zoom line search (optax.lbfgs; Liu and Nocedal 1989).

One iteration a step, whose line search evaluates the step's batch up to 20 times, on the clock.
Curvature pairs are differences between gradients of two batches, which the method was not made
for. Defaults are the package's. No weight decay.
"""

import optax

SEARCH_SPACE = {
    "lr": {"min": 1e-2, "max": 1.0, "scaling": "log"},
    "history": {"feasible_points": [5, 10, 50]},
}


def submission(lr: float = 1.0, history: int = 10) -> optax.GradientTransformation:
    return optax.lbfgs(lr, history)
