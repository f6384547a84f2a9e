"""SGD with the capped Polyak step (own lines; Loizou et al. 2020, arXiv 2002.10542).

The rate is (loss - `f_min`) over c times the squared norm of the gradient, and at most c `max_lr`,
where c is `scaling`. The paper's cap has no factor c, and its smoothing of the cap is left out.
These are the steps of optax.polyak_sgd, in `polyak_sgd_jax`: no package for torch that is kept up
has them.
"""

import torch

from submissions.contract import Parameters

SEARCH_SPACE = {
    "max_lr": {"min": 1e-2, "max": 1e1, "scaling": "log"},
    "scaling": {"min": 0.1, "max": 2.0, "scaling": "log"},
}
TINY = 2.2e-16


def submission(
    params: Parameters, max_lr: float = 1.0, scaling: float = 1.0, f_min: float = 0.0
) -> torch.optim.Optimizer:
    return PolyakSGD(params, max_lr, scaling, f_min)


class PolyakSGD(torch.optim.Optimizer):
    """It remembers nothing."""

    def __init__(self, params: Parameters, max_lr: float, scaling: float, f_min: float) -> None:
        super().__init__(params, {"max_lr": max_lr, "scaling": scaling, "f_min": f_min})

    @torch.no_grad()
    def step(self, loss: torch.Tensor) -> None:  # type: ignore[override]
        """One step down, as far as a line through this loss would need to reach `f_min`."""
        group = self.param_groups[0]
        params = [p for p in group["params"] if p.grad is not None]
        size = group["scaling"] ** 2 * sum(p.grad.square().sum() for p in params)
        rate = ((loss - group["f_min"]) / size).clamp(max=group["max_lr"])
        rate = group["scaling"] * torch.where(size <= TINY, 0.0, rate)
        for p in params:
            p.sub_(rate * p.grad)
