"""The spherical Fourier neural operator in PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.model_torch import Tensors, TorchModel, activity

if TYPE_CHECKING:
    from workloads.climate.harmonics import Harmonics
    from workloads.climate.settings import ClimateScale
    from workloads.contract import Array

EPSILON = 1e-6


class Affine(nn.Module):
    """A weight and a bias, nothing more: what a name holds in both back ends."""

    def __init__(self, weight: tuple[int, ...], bias: tuple[int, ...] | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(weight))
        if bias is not None:
            self.bias = nn.Parameter(torch.empty(bias))


class Block(nn.Module):
    """Norm, spectral convolution beside a 1 x 1 skip, GELU, norm, and a residual MLP."""

    def __init__(self, width: int, hidden: int, degrees: int) -> None:
        super().__init__()
        self.norm1 = Affine((width,), (width,))
        self.spectral = Affine((degrees, width, width, 2), None)
        self.skip = Affine((width, width), (width,))
        self.norm2 = Affine((width,), (width,))
        self.up = Affine((hidden, width), (hidden,))
        self.down = Affine((width, hidden), (width,))


class ClimateTorch(TorchModel):
    """One six-hour step: the normalised change of the state, and the fluxes at its end."""

    fourier: Tensor
    analysis: Tensor
    synthesis: Tensor
    inverse: Tensor
    area: Tensor

    def __init__(self, settings: ClimateScale, harmonics: Harmonics, area: Array) -> None:
        super().__init__()
        model, grid = settings.model, settings.data.grid
        self.encoder = Affine((model.width, settings.inputs), (model.width,))
        self.position = nn.Parameter(torch.empty(model.width, grid.nlat, grid.nlon))
        self.blocks = nn.ModuleList(
            Block(model.width, model.hidden, model.degrees) for _ in range(model.layers)
        )
        features = model.width + settings.inputs
        self.decoder = Affine((settings.outputs, features), (settings.outputs,))
        self.prognostic = settings.prognostic
        self.gain = model.gain
        self.groups = 1 if model.norm == "layer" else model.width
        self.dtype: torch.dtype = getattr(torch, settings.compute.dtype)
        for name in ("fourier", "analysis", "synthesis", "inverse"):
            value = torch.from_numpy(getattr(harmonics, name))
            self.register_buffer(name, value, persistent=False)
        self.register_buffer("area", torch.from_numpy(area), persistent=False)

    def forward(self, state: Tensor, forcing: Tensor, seen: list[Tensor] | None = None) -> Tensor:
        """Normalised changes and diagnostics, float32 (B, outputs, nlat, nlon).

        What each block's hidden layer gives goes into `seen`.
        """
        x = torch.cat([state, forcing], 1).to(self.dtype)
        y = self._linear(x, self.encoder) + self.gain * self.position.to(self.dtype)
        for block in self.blocks:
            assert isinstance(block, Block)
            z = self._norm(y, block.norm1)
            z = F.gelu(self._convolve(z, block.spectral) + self._linear(z, block.skip))
            hidden = F.gelu(self._linear(self._norm(z, block.norm2), block.up))
            if seen is not None:
                seen.append(hidden.movedim(1, -1).flatten(0, -2))
            y = y + self._linear(hidden, block.down)
        return self._linear(torch.cat([y, x], 1), self.decoder).float()

    def loss(self, batch: Tensors, generator: torch.Generator) -> tuple[Tensor, Tensors]:
        """Area-weighted mean squared error over all channels, each in its own normalised unit."""
        squared = self._squared(batch)
        loss = squared.mean()
        changes = squared.detach()[:, : self.prognostic].mean()
        return loss, {"loss": loss.detach(), "changes": changes}

    def measure(self, batch: Tensors) -> Tensors:
        """Sums over the examples; `squared` and `persistence` by channel, (outputs,)."""
        squared = self._squared(batch)
        return {
            "loss": squared.mean(1).sum(),
            "squared": squared.sum(0),
            "persistence": self._mean(batch["target"] ** 2).sum(0),
            "count": squared.new_tensor(len(squared)),
        }

    def predict(self, batch: Tensors) -> Tensors:
        """`output`, what the model makes of `state` and `forcing`: (B, outputs, H, W)."""
        return {"output": self(batch["state"], batch["forcing"])}

    def inspect(self, batch: Tensors) -> Tensors:
        """The activity of the blocks' hidden channels."""
        seen: list[Tensor] = []
        self(batch["state"], batch["forcing"], seen)
        return activity(seen)

    def _squared(self, batch: Tensors) -> Tensor:
        """Area-weighted squared error of every example and channel, (B, outputs)."""
        return self._mean((self(batch["state"], batch["forcing"]) - batch["target"]) ** 2)

    def _mean(self, field: Tensor) -> Tensor:
        return field.mean(-1) @ self.area

    def _linear(self, x: Tensor, layer: Affine) -> Tensor:
        # Batched, and not `matmul`: that would copy the fields to make one large product of them.
        weight = (self.gain * layer.weight).to(x.dtype).expand(len(x), -1, -1)
        bias = layer.bias.to(x.dtype)[:, None]
        return torch.baddbmm(bias, weight, x.flatten(2)).unflatten(2, x.shape[2:])

    def _norm(self, x: Tensor, layer: Affine) -> Tensor:
        y = F.group_norm(x.float(), self.groups, layer.weight, layer.bias, EPSILON)
        return y.to(x.dtype)

    def _convolve(self, x: Tensor, layer: Affine) -> Tensor:
        """Each degree of the field's harmonics times a complex matrix over channels.

        The transforms are float32 in any case: in bfloat16 the large degrees leak into the rest.
        """
        batch, width, nlat, _ = x.shape
        orders, _, degrees = self.analysis.shape
        waves = (x.float() @ self.fourier).view(batch * width, nlat, 2, orders)
        waves = waves.permute(3, 0, 2, 1).reshape(orders, batch * width * 2, nlat)
        coefficients = torch.bmm(waves, self.analysis).to(x.dtype)
        coefficients = coefficients.view(orders, batch, width, 2, degrees).permute(4, 1, 0, 3, 2)
        mixed = torch.bmm(
            coefficients.reshape(degrees, batch * orders, 2 * width),
            self._complex(layer.weight, x.dtype),
        )
        mixed = mixed.view(degrees, batch, orders, 2, width).permute(2, 1, 4, 3, 0).float()
        waves = torch.bmm(mixed.reshape(orders, batch * width * 2, degrees), self.synthesis)
        waves = waves.view(orders, batch, width, 2, nlat).permute(1, 2, 4, 3, 0)
        return (waves.reshape(batch, width, nlat, 2 * orders) @ self.inverse).to(x.dtype)

    def _complex(self, weight: Tensor, dtype: torch.dtype) -> Tensor:
        """Complex matrices (degrees, in, out, 2) as real ones (degrees, 2 in, 2 out)."""
        real, imaginary = (self.gain * weight).to(dtype).unbind(-1)
        above = torch.cat([real, imaginary], 2)
        below = torch.cat([-imaginary, real], 2)
        return torch.cat([above, below], 1)
