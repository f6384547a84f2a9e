"""The normalised Q-network in PyTorch."""

from __future__ import annotations

import operator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.model_torch import Tensors, TorchModel, activity
from workloads.rl_nap.network import EPSILON, Network


class PlayTorch(TorchModel):
    """Convolutions and hidden layers, each normalised before its ReLU, and a linear head."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.dtype: torch.dtype = getattr(torch, network.dtype)
        shapes = {name: spec.shape for name, spec in network.parameters().items()}
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, layer.filters, layer.kernel, layer.stride, bias=False)
            for index, layer in enumerate(network.convolutions)
            for channels in [shapes[f"convolutions.{index}.weight"][1]]
        )
        self.layers = nn.ModuleList(
            nn.Linear(shapes[f"layers.{index}.weight"][1], width, bias=False)
            for index, width in enumerate(network.hidden)
        )
        self.head = nn.Linear(network.hidden[-1], network.actions)

    def act(self, observation: Tensor, seen: list[Tensor] | None = None) -> Tensor:
        """Values float32 (B, actions) of observations uint8 (B, channels, height, width).

        What each hidden layer gives goes into `seen`.
        """
        x = observation.to(self.dtype) * self.network.scale
        for layer, spec in zip(self.convolutions, self.network.convolutions, strict=True):
            assert isinstance(layer, nn.Conv2d)
            x = self._activated(F.conv2d(x, layer.weight.to(self.dtype), stride=spec.stride))
            if seen is not None:
                seen.append(x.movedim(1, -1).flatten(0, -2))
        x = x.flatten(1)
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            x = self._activated(F.linear(x, layer.weight.to(self.dtype)))
            if seen is not None:
                seen.append(x)
        return F.linear(x.float(), self.head.weight, self.head.bias)

    def loss(self, batch: Tensors, generator: torch.Generator) -> tuple[Tensor, Tensors]:
        """Mean Huber loss of the values of the actions taken; `value` is their mean."""
        values = self.act(batch["observation"])
        taken = values.gather(1, batch["action"].long()[:, None])[:, 0]
        loss = F.huber_loss(taken, batch["target"])
        return loss, {"loss": loss.detach(), "value": taken.detach().mean()}

    def measure(self, batch: Tensors) -> Tensors:
        """`loss`, the Huber losses summed over the `count` observations."""
        values = self.act(batch["observation"])
        taken = values.gather(1, batch["action"].long()[:, None])[:, 0]
        loss = F.huber_loss(taken, batch["target"], reduction="sum")
        return {"loss": loss, "count": torch.full((), len(values), device=values.device)}

    def predict(self, batch: Tensors) -> Tensors:
        """The `value` float32 (B, actions) of each action, and the greedy `action` (B,)."""
        values = self.act(batch["observation"])
        return {"value": values, "action": values.argmax(1)}

    def inspect(self, batch: Tensors) -> Tensors:
        """The activity of hidden units, and the last of them as features."""
        seen: list[Tensor] = []
        self.act(batch["observation"], seen)
        return {**activity(seen), "features": seen[-1]}

    @torch.no_grad()
    def project(self) -> None:
        """Bring each hidden matrix back to its initial norm."""
        if self.network.project:
            for name, norm in self.network.norms.items():
                weight = self._weight(name)
                weight.mul_(norm / torch.linalg.vector_norm(weight))

    def _weight(self, name: str) -> Tensor:
        # Not `get_parameter`, which refuses the plain tensors of a call at other weights.
        weight = operator.attrgetter(name)(self)
        assert isinstance(weight, Tensor)
        return weight

    def _activated(self, x: Tensor) -> Tensor:
        # Over everything of an example, in float32.
        return F.relu(F.layer_norm(x.float(), x.shape[1:], eps=EPSILON)).to(self.dtype)
