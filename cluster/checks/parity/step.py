"""One step of plain SGD, as the two sides of a comparison tell it to each other."""

from __future__ import annotations

import dataclasses

from workloads.contract import Array, Weights


@dataclasses.dataclass(frozen=True)
class Step:
    """The weights before a step, the loss and gradients there, and the weights after it."""

    before: Weights
    loss: Array
    gradients: Weights
    after: Weights
