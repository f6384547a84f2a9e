"""Sophia-G, clipped steps by the curvature of sampled labels (own lines; arXiv 2305.14342).

Liu et al. 2023. As `sophia`, with the paper's other estimate, Gauss-Newton-Bartlett: every `period`
steps labels are sampled from the model's own predictions, and the curvature is the square of their
mean gradient, times how many the mean is over: of text, tokens. A submission sees losses and no
logits: where a batch has `label`s of known classes, the losses of every label give the predictions;
where it has none, the batch's own targets stand in, which is the empirical Fisher matrix that the
paper compares with.
Momentum has a bias correction, as optax has it in `sophia_g_jax`.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import math
from collections.abc import Callable

import torch

from submissions.contract import Card, Parameters, Problem, State, Tensors

SEARCH_SPACE = {
    "lr": {"min": 1e-5, "max": 3e-2, "scaling": "log"},
    "gamma": {"min": 1e-3, "max": 1e-1, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "decay": {"feasible_points": ["cosine", "constant"]},
}
EPS = 1e-8


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.035,
    beta2: float = 0.99,
    gamma: float = 0.05,
    period: int = 10,
    weight_decay: float = 0.1,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> "SophiaG":
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    rest = max(1, workload.step_hint - ramp)
    tails = {"cosine": lambda u: (1 + math.cos(math.pi * u)) / 2, "constant": lambda u: 1.0}
    tail = tails[decay]

    def rate(k: int) -> float:
        return lr * ((k + 1) / ramp if k < ramp else tail(min(1.0, (k - ramp) / rest)))

    decayed = ("weight", "head", "tensor")
    decays = {name: weight_decay * (role in decayed) for name, role in workload.roles.items()}
    return SophiaG(rate, (1 - one_minus_beta1, beta2), gamma, period, decays)


class SophiaG:
    """State: `steps`, momentum `m` and curvature `h` of each parameter."""

    def __init__(
        self,
        rate: Callable[[int], float],
        betas: tuple[float, float],
        gamma: float,
        period: int,
        decays: dict[str, float],
    ) -> None:
        self.rate = rate
        self.betas = betas
        self.gamma = gamma
        self.period = period
        self.decays = decays

    def init(self, params: Tensors) -> State:
        """Neither momentum nor curvature."""
        m, h = ({name: torch.zeros_like(p) for name, p in params.items()} for _ in range(2))
        return {"steps": 0, "m": m, "h": h}

    def update(
        self, params: Tensors, state: State, batch: Tensors, problem: Problem[torch.Tensor]
    ) -> State:
        """One clipped step; every `period` steps a new look at the curvature."""
        m, h, k = state["m"], state["h"], state["steps"]
        _, gradient = problem.value_and_grad(params, batch)
        diagonal = self._diagonal(params, batch, problem) if k % self.period == 0 else None
        b1, b2 = self.betas
        rate = self.rate(k)
        for name, p in params.items():
            m[name].lerp_(gradient[name], 1 - b1)
            corrected = m[name] / (1 - b1 ** (k + 1))
            step = (corrected / (self.gamma * h[name]).clamp(min=EPS)).clamp(-1.0, 1.0)
            p.sub_(rate * (step + self.decays[name] * p))
            if diagonal is not None:
                h[name].lerp_(diagonal[name], 1 - b2)
        return state | {"steps": k + 1}

    def _diagonal(self, params: Tensors, batch: Tensors, problem: Problem[torch.Tensor]) -> Tensors:
        sampled = self._sampled(params, batch, problem)
        count = problem.measure(params, sampled)["count"]
        _, gradient = problem.value_and_grad(params, sampled)
        return {name: count * g.square() for name, g in gradient.items()}

    def _sampled(self, params: Tensors, batch: Tensors, problem: Problem[torch.Tensor]) -> Tensors:
        """The batch with labels of the model's own."""
        if "label" not in batch or problem.classes is None:
            return batch
        label = batch["label"]
        given = [batch | {"label": torch.full_like(label, c)} for c in range(problem.classes)]
        nats = torch.stack([problem.losses(params, one) for one in given], dim=1)
        drawn = torch.multinomial(torch.softmax(-nats, dim=1), 1)[:, 0]
        return batch | {"label": drawn.to(label.dtype)}
