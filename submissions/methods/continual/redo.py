"""ReDo on Adam: dormant units are recycled (own lines; Sokar et al. 2023, arXiv 2302.12902).

Every `period` steps a unit whose activity, relative to its layer's mean, is at most `threshold`
gets new weights (normal, of the matrix's initial deviation), sends nothing on (its outgoing weights
become zero) and loses its Adam moments. Defaults are the paper's.

A submission is not shown activations. That of unit i on one example is, up to a factor that all
units of the layer share, the norm of the gradient's column i of the matrix that reads them; the
mean over `sample` examples of what is relative to the layer is the paper's score. Units are those
of feed-forward chains: attention, gates and residual streams are left alone.
"""

from typing import Any

import torch

from submissions.contract import Card, Parameters, Problem, Tensors

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "threshold": {"min": 1e-3, "max": 0.3, "scaling": "log"},
    "period": {"feasible_points": [100, 1000]},
}

State = dict[str, Any]


def submission(
    params: Parameters,
    workload: Card,
    lr: float = 1e-3,
    threshold: float = 0.1,
    period: int = 1000,
    sample: int = 16,
) -> "Redo":
    return Redo(lr, threshold, period, sample, units(workload))


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


class Redo:
    """State: `adam`, `steps`, and the initial `deviation` of each matrix that has units."""

    def __init__(
        self, lr: float, threshold: float, period: int, sample: int, readers: dict[str, str]
    ) -> None:
        self.lr = lr
        self.threshold = threshold
        self.period = period
        self.sample = sample
        self.readers = readers

    def init(self, params: Tensors) -> State:
        """Adam, and what new weights are drawn by."""
        adam = torch.optim.Adam(params.values(), lr=self.lr)
        return {"adam": adam, "steps": 0, "deviation": {n: params[n].std() for n in self.readers}}

    def update(
        self, params: Tensors, state: State, batch: Tensors, problem: Problem[torch.Tensor]
    ) -> State:
        """One step of Adam; after a period, the recycling."""
        _, gradients = problem.value_and_grad(params, batch)
        for name, p in params.items():
            p.grad = gradients[name]
        state["adam"].step()
        state["steps"] += 1
        if state["steps"] % self.period == 0:
            for writer, activity in self._activity(params, batch, problem).items():
                dormant = activity <= self.threshold
                deviation = state["deviation"][writer]
                recycle(params, writer, self.readers[writer], dormant, deviation, state["adam"])
        return state

    def _activity(self, params: Tensors, batch: Tensors, problem: Problem[torch.Tensor]) -> Tensors:
        size = max(map(len, batch.values()))
        seen: dict[str, list[torch.Tensor]] = {writer: [] for writer in self.readers}
        for i in range(min(self.sample, size)):
            one = {n: rows[i : i + 1] if len(rows) == size else rows for n, rows in batch.items()}
            _, gradients = problem.value_and_grad(params, one)
            for writer, reader in self.readers.items():
                seen[writer].append(gradients[reader].norm(dim=0))
        return {writer: _relative(torch.stack(norms)) for writer, norms in seen.items()}


def _relative(norms: torch.Tensor) -> torch.Tensor:
    """The mean over examples of what is relative to the layer's mean.

    Without those examples whose gradient does not reach the layer; ones where none does.
    """
    means = norms.mean(1, keepdim=True)
    reached = means > 0
    shares = torch.where(reached, norms / means, 0.0).sum(0)
    return torch.where(reached.any(), shares / reached.sum(), 1.0)


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
