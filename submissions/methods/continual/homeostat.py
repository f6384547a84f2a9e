"""Homeostatic learning rate: a simulated look ahead decides whether it moves (arXiv 2205.08645).

A descendant of the paper's learner, which is `lrh`, and in effect a greedy line search: it looks
ahead along the whole batch's gradient and judges on the batch itself.
Plain SGD with one rate for the whole network. After each batch's gradient two steps are simulated:
at the present rate, and at that rate moved by a fraction of the initial one; both are judged on
the most recent examples.
- Where a batch has labels: classes of the upper half ask for more, those of the
  lower half for less. The class predicted for the last example gives the simulated direction; if
  that step classifies strictly more of the recent examples rightly, the rate moves, but in the
  direction of the example's true class.
- Elsewhere (ours): a higher and a lower rate are simulated, and the one with the lower loss stays.
`per_unit` (ours too) gives every row of a weight matrix, an output unit, a gain of its own beside
that rate: it grows as far as the unit's gradient points along the last one (their cosine) and
shrinks as far as it points back. A matrix's gains average to one: they say which unit learns
faster, the rate how fast all do.
The recent examples are the last `memory` of the batch, or all of it where it is smaller.
"""

from typing import Any

import torch

from submissions.contract import Parameters, Problem, Tensors

SEARCH_SPACE = {
    "lr": {"min": 1e-3, "max": 3e-1, "scaling": "log"},
    "fraction": {"min": 1e-3, "max": 3e-1, "scaling": "log"},
}
FLOOR = 1e-8
GAIN_STEP, GAIN_LIMIT = 1.05, 4.0
TINY = 1e-30

State = dict[str, Any]


def submission(
    params: Parameters,
    lr: float = 0.1,
    fraction: float = 0.1,
    memory: int = 20,
    per_unit: bool = False,
) -> "Homeostat":
    return Homeostat(lr, fraction * lr, memory, per_unit)


class Homeostat:
    """State: `rate` (0-d); with gains also `gains` and `last`, the gradient before, by matrix."""

    def __init__(self, rate: float, change: float, memory: int, per_unit: bool) -> None:
        self.rate = rate
        self.change = change
        self.memory = memory
        self.per_unit = per_unit

    def init(self, params: Tensors) -> State:
        """The initial rate, gains of one."""
        some = next(iter(params.values()))
        state: State = {"rate": some.new_full((), self.rate)}
        if self.per_unit:
            matrices = {name: p for name, p in params.items() if p.dim() > 1}
            state["gains"] = {
                name: p.new_ones(len(p), *[1] * (p.dim() - 1)) for name, p in matrices.items()
            }
            state["last"] = {name: torch.zeros_like(p) for name, p in matrices.items()}
        return state

    def update(
        self, params: Tensors, state: State, batch: Tensors, problem: Problem[torch.Tensor]
    ) -> State:
        """Regulate, then descend."""
        _, gradient = problem.value_and_grad(params, batch)
        new: State = {}
        direction = gradient
        if self.per_unit:
            new["gains"] = {
                name: _regulated(state["gains"][name], gradient[name], state["last"][name])
                for name in state["gains"]
            }
            new["last"] = {name: gradient[name] for name in state["gains"]}
            scaled = {name: gain * gradient[name] for name, gain in new["gains"].items()}
            direction = gradient | scaled
        recent = {name: array[-self.memory :] for name, array in batch.items()}
        new["rate"] = self._decide(params, direction, state["rate"], recent, problem)
        for name, parameter in params.items():
            parameter.sub_(new["rate"] * direction[name])
        return new

    def _decide(
        self,
        params: Tensors,
        direction: Tensors,
        rate: torch.Tensor,
        recent: Tensors,
        problem: Problem[torch.Tensor],
    ) -> torch.Tensor:
        def ahead(at: torch.Tensor) -> Tensors:
            moved = {name: p - at * direction[name] for name, p in params.items()}
            return problem.measure(moved, recent)

        higher, lower = rate + self.change, (rate - self.change).clamp(min=FLOOR)
        last = {name: array[-1:] for name, array in recent.items()}
        seen = problem.measure(params, last) if "label" in recent else {}
        if "predicted" not in seen:
            return torch.where(ahead(higher)["loss"] < ahead(lower)["loss"], higher, lower)
        half = len(seen["predicted"]) / 2
        asked = torch.where(seen["predicted"].argmax() >= half, higher, lower)
        due = torch.where(last["label"][0] >= half, higher, lower)
        better = ahead(asked)["correct"] > ahead(rate)["correct"]
        return torch.where(better, due, rate)


def _per_unit(array: torch.Tensor) -> torch.Tensor:
    """The sum over all axes but the first, kept as axes of length one."""
    return array.sum(tuple(range(1, array.dim())), keepdim=True)


def _regulated(gain: torch.Tensor, gradient: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    sizes = (_per_unit(gradient**2) * _per_unit(last**2)).sqrt()
    cosine = _per_unit(gradient * last) / sizes.clamp(min=TINY)
    moved = (gain * GAIN_STEP**cosine).clamp(1 / GAIN_LIMIT, GAIN_LIMIT)
    return moved / moved.mean()
