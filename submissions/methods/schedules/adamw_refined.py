"""AdamW under a schedule refined from a first run (own lines; Defazio et al., arXiv 2310.07831).

Of 2023, "When, Why and How Much? Adaptive Learning Rate Scheduling by Refinement". The first run
is on the clock: the share `first` of the horizon, warm-up and a linear fall to zero, of which the
gradient's l1 norms G are kept. Then the weights of the start come back, AdamW forgets, and the rest
of the horizon follows rates of the same shape in time, stretched: with w = 1 / G, where G went
through a median filter as wide as the share `smoothing` of the run, rate_t is w_t times the sum of
all later w, its largest `lr`. Constant norms give a linear fall; norms that fall early a warm-up.
The paper's first run is as long as the second and costs nothing.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
"""

import torch

from submissions.contract import Card, Parameters, Problem, State, Tensors

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "first": {"feasible_points": [0.1, 0.2, 0.4]},
}


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    first: float = 0.2,
    smoothing: float = 0.1,
    warmup: float = 0.05,
) -> "Refined":
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    adam = torch.optim.AdamW(groups, lr=lr, betas=(1 - one_minus_beta1, beta2))
    proxy = max(4, round(first * workload.step_hint))
    rest = max(2, workload.step_hint - proxy)
    return Refined(adam, lr, proxy, rest, max(1, round(warmup * proxy)), smoothing)


def refined(norms: torch.Tensor, smoothing: float) -> torch.Tensor:
    """The rate by step as a share of the largest, from the gradient norms of a run."""
    half = int(smoothing * len(norms) / 2)
    head, tail = norms[:1].expand(half), norms[-half - 1 : -1].flip(0)
    smooth = torch.cat([head, norms, tail]).unfold(0, 2 * half + 1, 1).median(1).values
    weights = 1 / smooth.clamp(min=1e-30)
    rates = weights * (weights.sum() - weights.cumsum(0))
    return rates / rates.max()


class Refined:
    """State: `steps`, the weights of the `start`, the first run's `norms`, the `rates` after it."""

    def __init__(
        self,
        adam: torch.optim.Optimizer,
        lr: float,
        proxy: int,
        rest: int,
        ramp: int,
        smoothing: float,
    ) -> None:
        self.adam = adam
        self.lr = lr
        self.proxy = proxy
        self.rest = rest
        self.ramp = ramp
        self.smoothing = smoothing

    def init(self, params: Tensors) -> State:
        """The start is remembered."""
        start = {name: p.detach().clone() for name, p in params.items()}
        nothing = torch.zeros(self.proxy)
        return {
            "steps": 0,
            "start": start,
            "norms": nothing,
            "rates": nothing.clone(),
            "adam": self.adam,
        }

    def update(
        self, params: Tensors, state: State, batch: Tensors, problem: Problem[torch.Tensor]
    ) -> State:
        """One step of the first run, or of the second, which begins anew."""
        k, adam = state["steps"], state["adam"]
        if k == self.proxy:
            state["rates"] = refined(state["norms"], self.smoothing)
            adam.state.clear()
            for name, p in params.items():
                p.copy_(state["start"][name])
        _, gradient = problem.value_and_grad(params, batch)
        if k < self.proxy:
            state["norms"][k] = sum(g.abs().sum() for g in gradient.values())
        for name, p in params.items():
            p.grad = gradient[name]
        for group in adam.param_groups:
            group["lr"] = self.lr * self._factor(k, state["rates"])
        adam.step()
        return state | {"steps": k + 1}

    def _factor(self, k: int, rates: torch.Tensor) -> float:
        if k < self.ramp:
            return (k + 1) / self.ramp
        if k < self.proxy:
            return 1 - (k - self.ramp) / (self.proxy - self.ramp)
        # Between two of the first run's steps, in a straight line.
        place = min(1.0, (k - self.proxy) / (self.rest - 1)) * (len(rates) - 1)
        low = min(int(place), len(rates) - 2)
        return float(rates[low] + (place - low) * (rates[low + 1] - rates[low]))
