"""Schedule-Free SGD (optax.contrib.schedule_free_sgd; Defazio et al. 2024, arXiv 2405.15682).

No schedule but a warm-up, which begins at zero, a step later than the authors' package
(`schedule_free_sgd`); evaluated at an average of the iterates. The package's defaults.
"""

import optax
import optax.contrib

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-2, "max": 1e1, "scaling": "log"},
}


def submission(
    workload: Card, lr: float = 1.0, one_minus_momentum: float = 0.1, warmup: float = 0.05
) -> optax.GradientTransformation:
    steps = round(warmup * workload.step_hint)
    return optax.contrib.schedule_free_sgd(lr, steps or None, b1=1 - one_minus_momentum)
