"""Continual backprop on Adam (own lines; Dohare et al. 2024, Nature 632; arXiv 2306.13812).

Every unit has a utility, a running mean of its activity times the sum of its outgoing weights'
sizes. Of each layer's units older than `maturity` steps the share `replacement` is replaced a step
(so one unit in many steps), the least useful first: new incoming weights (normal, of the matrix's
initial deviation), no outgoing ones, no Adam moments, utility and age zero. The correction of the
readers' biases in the authors' code is left out.

A submission is not shown activations. That of unit i on one example is, up to a factor that all
units of the layer share, the norm of the gradient's column i of the matrix that reads them; the
first example of each batch is looked at, relative to the layer. Units are those of feed-forward
chains: attention, gates and residual streams are left alone.
"""

from typing import Any

import torch

from submissions.contract import Card, Parameters, Problem, Tensors

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "replacement": {"min": 1e-6, "max": 1e-3, "scaling": "log"},
    "maturity": {"feasible_points": [100, 1000]},
}

State = dict[str, Any]


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    replacement: float = 1e-4,
    one_minus_memory: float = 0.01,
    maturity: int = 100,
) -> "ContinualBackprop":
    return ContinualBackprop(lr, replacement, one_minus_memory, maturity, units(workload))


def units(workload: Card) -> dict[str, str]:
    """Which matrix reads the units of which: name of the reader by the name of the writer."""
    shapes, chain = workload.shapes, [""]
    readers: dict[str, str] = {}
    for name, role in workload.roles.items():
        if role not in ("weight", "head"):
            chain = chain if role == "bias" else [""]
            continue
        writer = chain[-1]
        if writer and shapes[writer][0] == shapes[name][1]:
            square = shapes[writer][0] == shapes[writer][1]
            # Of two in a row of one shape, the second is a gate beside the first.
            gate = not square and shapes[writer] == shapes.get(chain[-2])
            inside = not square or role == "head" or writer in readers.values()
            if inside and not gate:
                readers[writer] = name
        chain.append(name)
    if not readers:
        raise ValueError("this workload's model has no feed-forward units to recycle")
    return readers


class ContinualBackprop:
    """State: `adam`; by matrix the initial `deviation`, `utility`, `age` and what is `due`."""

    def __init__(
        self, lr: float, replacement: float, fresh: float, maturity: int, readers: dict[str, str]
    ) -> None:
        self.lr = lr
        self.replacement = replacement
        self.fresh = fresh
        self.maturity = maturity
        self.readers = readers

    def init(self, params: Tensors) -> State:
        """Adam, no utility, no age."""
        units = {name: params[name].new_zeros(len(params[name])) for name in self.readers}
        return {
            "adam": torch.optim.Adam(params.values(), lr=self.lr),
            "deviation": {name: params[name].std() for name in units},
            "utility": units,
            "age": {name: zeros.clone() for name, zeros in units.items()},
            "due": {name: zeros[0].clone() for name, zeros in units.items()},
        }

    def update(
        self, params: Tensors, state: State, batch: Tensors, problem: Problem[torch.Tensor]
    ) -> State:
        """One step of Adam, and at most one unit a layer replaced."""
        _, gradients = problem.value_and_grad(params, batch)
        size = max(map(len, batch.values()))
        one = {name: rows[:1] if len(rows) == size else rows for name, rows in batch.items()}
        _, seen = problem.value_and_grad(params, one)
        for name, p in params.items():
            p.grad = gradients[name]
        state["adam"].step()
        for writer, reader in self.readers.items():
            sent = params[reader].abs().sum(0)
            state["utility"][writer].lerp_(_relative(seen[reader]) * sent, self.fresh)
            state["age"][writer] += 1
            gone = self._gone(state, writer)
            recycle(params, writer, reader, gone, state["deviation"][writer], state["adam"])
        return state

    def _gone(self, state: State, writer: str) -> torch.Tensor:
        """The least useful of the grown units, once a whole one is due."""
        utility, age, due = (state[key][writer] for key in ("utility", "age", "due"))
        grown = age > self.maturity
        due += self.replacement * grown.sum()
        corrected = utility / (1 - (1 - self.fresh) ** age)
        worst = torch.where(grown, corrected, torch.inf).argmin()
        gone = torch.zeros_like(grown)
        gone[worst] = (due >= 1) & grown.any()
        due -= gone.sum()
        utility.masked_fill_(gone, 0.0)
        age.masked_fill_(gone, 0.0)
        return gone


def _relative(gradient: torch.Tensor) -> torch.Tensor:
    """Each column's norm over their mean; ones where no example reaches the layer at all."""
    norms = gradient.norm(dim=0)
    return torch.where(norms.mean() > 0, norms / norms.mean(), 1.0)


def recycle(
    params: Tensors,
    writer: str,
    reader: str,
    gone: torch.Tensor,
    deviation: torch.Tensor,
    adam: torch.optim.Adam,
) -> None:
    """New incoming weights, none outgoing, and no moments for the units that are `gone`."""
    new = deviation * torch.randn_like(params[writer])
    bias = writer.removesuffix("weight") + "bias"
    rows = {writer: gone[:, None], reader: gone[None, :]}
    rows |= {bias: gone} if bias in params else {}
    for name, where in rows.items():
        p, fresh = params[name], new if name == writer else 0.0
        p.copy_(torch.where(where, fresh, p))
        for moment in ("exp_avg", "exp_avg_sq"):
            adam.state[p][moment].masked_fill_(where, 0.0)
