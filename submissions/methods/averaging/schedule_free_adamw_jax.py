"""Schedule-Free AdamW (optax.contrib.schedule_free_adamw; Defazio et al. 2024, arXiv 2405.15682).

No schedule but a warm-up, which begins at zero, a step later than the authors' package
(`schedule_free_adamw`); evaluated at an average of the iterates. The package's defaults. Weight
decay applies to every parameter, the only way that optax has.
"""

import optax
import optax.contrib

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
}


def submission(
    workload: Card,
    lr: float = 2.5e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.0,
    warmup: float = 0.05,
) -> optax.GradientTransformation:
    steps = round(warmup * workload.step_hint)
    return optax.contrib.schedule_free_adamw(
        lr, steps or None, 1 - one_minus_beta1, beta2, weight_decay=weight_decay
    )
