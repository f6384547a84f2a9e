"""MoMo, model-based momentum (momo-opt; Schaipp et al. 2023, arXiv 2305.07583).

SGD with momentum whose rate is the lesser of `lr` and a Polyak step to `lower_bound`, the least
loss thought possible. Constant `lr`, as the authors advise, and their package's defaults. Weight
decay applies to every parameter, inside the step (proximal), where `momo_jax` has it outside;
without it the two agree.
"""

import momo
import torch
from torch.optim.optimizer import StateDict

from submissions.contract import Parameters

SEARCH_SPACE = {
    "lr": {"min": 1e-1, "max": 1e1, "scaling": "log"},
    "weight_decay": {"min": 1e-6, "max": 1e-2, "scaling": "log"},
}
KEPT = ("loss_avg", "lb", "_number_steps")


def submission(
    params: Parameters,
    lr: float = 1.0,
    one_minus_beta: float = 0.1,
    lower_bound: float = 0.0,
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    return Momo(params, lr, weight_decay, 1 - one_minus_beta, lower_bound)


class Momo(momo.Momo):
    """The package's, with its running loss in what a checkpoint keeps."""

    def state_dict(self) -> StateDict:
        """The package's, and what it leaves out."""
        running = {name: getattr(self, name, None) for name in KEPT}
        return super().state_dict() | {"running": running}

    def load_state_dict(self, state_dict: StateDict) -> None:
        """The inverse."""
        super().load_state_dict(state_dict)
        for name, value in state_dict["running"].items():
            if value is not None:
                setattr(self, name, value.clone() if isinstance(value, torch.Tensor) else value)
