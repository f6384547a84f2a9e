"""The shapes of the network, which both back ends build."""

from __future__ import annotations

import dataclasses
import functools
import math

import pydantic

from scoring.ground.documents import Model
from workloads.contract import ParameterSpec

EPSILON = 1e-5
"""Of the normalisation before each ReLU."""


class Convolution(Model):
    """A convolution without padding; `kernel` and `stride` are the same in both directions."""

    filters: pydantic.PositiveInt
    kernel: pydantic.PositiveInt
    stride: pydantic.PositiveInt


@dataclasses.dataclass(frozen=True)
class Network:
    """Convolutions, hidden layers and a head, from observations to the values of the actions.

    Hidden layers have no biases: the normalisation after them would take away their mean, and
    their own scale and offset are left out, so that nothing but directions counts.
    """

    shape: tuple[int, int, int]
    """Of an observation: channels, height, width."""
    binary: bool
    convolutions: tuple[Convolution, ...]
    hidden: tuple[int, ...]
    actions: int
    project: bool
    dtype: str

    @property
    def scale(self) -> float:
        """What an observation is multiplied by."""
        return 1.0 if self.binary else 1 / 255

    def parameters(self) -> dict[str, ParameterSpec]:
        """Every parameter's shape and role."""
        specs = {}
        channels, side, _ = self.shape
        for index, layer in enumerate(self.convolutions):
            shape = (layer.filters, channels, layer.kernel, layer.kernel)
            specs[f"convolutions.{index}.weight"] = ParameterSpec(shape, "tensor")
            channels, side = layer.filters, (side - layer.kernel) // layer.stride + 1
        inputs = channels * side * side
        for index, width in enumerate(self.hidden):
            specs[f"layers.{index}.weight"] = ParameterSpec((width, inputs), "weight")
            inputs = width
        specs["head.weight"] = ParameterSpec((self.actions, inputs), "head")
        specs["head.bias"] = ParameterSpec((self.actions,), "bias")
        return specs

    @functools.cached_property
    def norms(self) -> dict[str, float]:
        """The initial (Frobenius) norm of each hidden matrix, to which it is projected."""
        return {
            name: math.sqrt(2 * spec.shape[0])
            for name, spec in self.parameters().items()
            if not name.startswith("head")
        }

    def check(self) -> None:
        """Refuse convolutions that do not fit into an observation.

        Raises:
            ValueError: names the first that does not.
        """
        side = self.shape[1]
        for index, layer in enumerate(self.convolutions):
            if layer.kernel > side:
                raise ValueError(
                    f"convolution {index}: kernel {layer.kernel} does not fit in "
                    f"{side} x {side}; make it smaller"
                )
            side = (side - layer.kernel) // layer.stride + 1
