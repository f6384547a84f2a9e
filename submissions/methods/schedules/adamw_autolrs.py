"""AdamW whose rate is searched for on the way (own lines; Jin et al. 2021, arXiv 2105.10762).

AutoLRS. Training goes in stages. Each begins with a search: from one checkpoint, `candidates` rates
between `lr_min` and `lr_max` are tried for `share` of the stage each; each one's losses, freed of
outliers, are followed to the stage's end by a parabola's smoothing and an exponential
a exp(-b x) + c; a Gaussian process of the logarithm of the rate proposes the next by the lowest
forecast - `kappa` * deviation. The rate of the lowest forecast then trains the stage from the
checkpoint. The stages' trials begin at `first` of the horizon and double until `most`, as the
authors' 100 of some 10,000 steps and 800 do, and so does their `kappa`, which all but ignores the
forecasts in proposing. All steps are on the clock and of training loss (the authors go over to
validation loss); in a search, the checkpoint is judged. No warm-up, unless a low rate is found.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
"""

import copy
import math

import numpy as np
import torch

from submissions.contract import Card, Parameters, Problem, State, Tensors

SEARCH_SPACE = {
    "lr_min": {"min": 1e-5, "max": 1e-3, "scaling": "log"},
    "lr_max": {"min": 3e-3, "max": 1e-1, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
}
GRID = np.linspace(0.0, 1.0, 201)
"""The logarithm of the rate, from `lr_min` to `lr_max`."""
SPOILT = 1e6
"""The forecast of a rate whose losses are not finite."""


def submission(
    params: Parameters,
    workload: Card,
    lr_min: float = 1e-4,
    lr_max: float = 1e-2,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    candidates: int = 10,
    share: float = 0.1,
    first: float = 0.01,
    most: float = 0.08,
    kappa: float = 1e6,
) -> "AutoLrs":
    groups = [
        {"params": params.of("weight", "head", "tensor"), "weight_decay": weight_decay},
        {"params": params.of("bias", "embedding", "norm"), "weight_decay": 0.0},
    ]
    adam = torch.optim.AdamW(groups, lr=lr_max, betas=(1 - one_minus_beta1, beta2))
    lengths = (max(4, round(first * workload.step_hint)), max(4, round(most * workload.step_hint)))
    return AutoLrs(adam, (lr_min, lr_max), lengths, round(1 / share), (candidates, kappa))


def forecast(losses: list[float], steps: int) -> float:
    """The loss after so many steps, of which these are the first."""
    y = np.array(losses)
    if not np.isfinite(y).all():
        return SPOILT
    x = np.arange(len(y), dtype=float)
    for _ in range(10):
        apart = np.abs(y - np.polyval(np.polyfit(x, y, 2), x))
        early = np.flatnonzero(x < len(losses) / 2)
        outliers = early[np.argsort(-apart[early])][: int(0.03 * len(y))]
        x, y = np.delete(x, outliers), np.delete(y, outliers)
    smooth = np.polyval(np.polyfit(x, y, 2), x)
    fits = []
    for beta in np.linspace(math.log(0.01 / len(losses)), math.log(10.0 / len(losses)), 61):
        shape = np.stack([np.exp(-math.exp(beta) * x), np.ones_like(x)], axis=1)
        scale, *_ = np.linalg.lstsq(shape, smooth, rcond=None)
        missed = float(((shape @ scale - smooth) ** 2).sum())
        fits.append((missed, float(scale[0] * math.exp(-math.exp(beta) * steps) + scale[1])))
    return min(fits)[1]


def proposal(tried: list[float], told: list[float], kappa: float) -> float:
    """Where on the grid to look next: a Gaussian process with Matern's kernel 5/2."""
    x, y = np.array(tried), np.array(told)
    y = (y - y.mean()) / (y.std() or 1.0)

    def kernel(a: np.ndarray, b: np.ndarray, length: float) -> np.ndarray:
        r = math.sqrt(5) * np.abs(a[:, None] - b) / length
        return (1 + r + r**2 / 3) * np.exp(-r)

    fits = []
    for length in (0.05, 0.1, 0.2, 0.5, 1.0):
        for noise in (1e-4, 1e-2, 1e-1):
            root = np.linalg.cholesky(kernel(x, x, length) + noise * np.eye(len(x)))
            white = np.linalg.solve(root, y)
            fits.append((-0.5 * white @ white - np.log(np.diag(root)).sum(), length, root, white))
    _, length, root, white = max(fits, key=lambda fit: fit[0])
    across = np.linalg.solve(root, kernel(x, GRID, length))
    deviation = np.sqrt(np.maximum(1e-12, 1 - (across**2).sum(0)))
    return float(GRID[np.argmin(across.T @ white - kappa * deviation)])


class AutoLrs:
    """State: `length` of the stage's trials, `step` in what is `searching`, or the stage itself.

    Of the search: the places `tried`, the forecasts `told`, the `losses` of the trial, and the
    checkpoint: `weights` and what AdamW remembers (`memory`).
    """

    def __init__(
        self,
        adam: torch.optim.Optimizer,
        rates: tuple[float, float],
        lengths: tuple[int, int],
        trials: int,
        search: tuple[int, float],
    ) -> None:
        self.adam = adam
        self.rates = rates
        self.lengths = lengths
        self.trials = trials
        self.candidates, self.kappa = search

    def init(self, params: Tensors) -> State:
        """The first search begins, in the middle."""
        state = {"adam": self.adam, "length": self.lengths[0]}
        return state | self._search(params, self.adam)

    def update(
        self, params: Tensors, state: State, batch: Tensors, problem: Problem[torch.Tensor]
    ) -> State:
        """One step at the rate of now, and what follows from it."""
        adam = state["adam"]
        loss, gradient = problem.value_and_grad(params, batch)
        for name, p in params.items():
            p.grad = gradient[name]
        for group in adam.param_groups:
            group["lr"] = self._rate(state["tried"][-1])
        adam.step()
        state["step"] += 1
        if not state["searching"]:
            if state["step"] < state["length"] * self.trials:
                return state
            state["length"] = max(state["length"], min(2 * state["length"], self.lengths[1]))
            return state | self._search(params, adam)
        state["losses"].append(float(loss))
        return state if state["step"] < state["length"] else self._tried(params, state)

    def eval_params(self, params: Tensors, state: State) -> Tensors:
        """In a search its checkpoint, which training goes on from."""
        return state["weights"] if state["searching"] else params

    def _rate(self, place: float) -> float:
        low, high = self.rates
        return low * (high / low) ** place

    def _search(self, params: Tensors, adam: torch.optim.Optimizer) -> State:
        weights = {name: p.detach().clone() for name, p in params.items()}
        begun = {"searching": True, "step": 0, "tried": [0.5], "told": [], "losses": []}
        return begun | {"weights": weights, "memory": copy.deepcopy(adam.state_dict())}

    def _tried(self, params: Tensors, state: State) -> State:
        """A trial is over: the next, or the stage at the best rate, from the checkpoint."""
        steps = state["length"] * self.trials
        told = [*state["told"], forecast(state["losses"], steps)]
        tried = state["tried"]
        for name, p in params.items():
            p.copy_(state["weights"][name])
        state["adam"].load_state_dict(copy.deepcopy(state["memory"]))
        new = {"step": 0, "losses": [], "told": told}
        if len(told) < self.candidates:
            return state | new | {"tried": [*tried, proposal(tried, told, self.kappa)]}
        best = tried[int(np.argmin(told))]
        nothing: State = {"weights": {}, "memory": {}}
        return state | new | nothing | {"searching": False, "tried": [best]}
