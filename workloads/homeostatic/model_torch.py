"""The multilayer perceptron in PyTorch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.model_torch import Tensors, TorchModel, activity, smoothed


class HomeostaticTorch(TorchModel):
    """Linear layers with ELU between them, and softmax cross-entropy on top."""

    def __init__(self, widths: Sequence[int], dtype: str) -> None:
        super().__init__()
        pairs = itertools.pairwise(widths)
        self.layers = nn.ModuleList(nn.Linear(inputs, outputs) for inputs, outputs in pairs)
        self.dtype: torch.dtype = getattr(torch, dtype)

    def forward(self, image: Tensor, seen: list[Tensor] | None = None) -> Tensor:
        """Logits float32 (B, classes) of images float32 (B, pixels).

        What each hidden layer gives goes into `seen`.
        """
        x = image.to(self.dtype)
        for index, layer in enumerate(self.layers):
            x = F.elu(x) if index else x
            if index and seen is not None:
                seen.append(x)
            assert isinstance(layer, nn.Linear)
            x = F.linear(x, layer.weight.to(self.dtype), layer.bias.to(self.dtype))
        return x.float()

    def loss(
        self, batch: Tensors, generator: torch.Generator, smoothing: float = 0.0
    ) -> tuple[Tensor, Tensors]:
        """Mean cross-entropy in nats; `correct` counts the predictions that were right."""
        logits, label = self(batch["image"]), batch["label"].long()
        loss = F.cross_entropy(logits, label)
        correct = (logits.detach().argmax(1) == label).sum()
        count = torch.full_like(correct, len(label))
        return smoothed(loss, logits, smoothing), {
            "loss": loss.detach(),
            "correct": correct,
            "count": count,
        }

    def measure(self, batch: Tensors) -> Tensors:
        """Sums over the examples; `predicted` counts how often each class was predicted."""
        logits, label = self(batch["image"]), batch["label"].long()
        guess = logits.argmax(1)
        correct = (guess == label).sum()
        return {
            "loss": F.cross_entropy(logits, label, reduction="sum"),
            "correct": correct,
            "count": torch.full_like(correct, len(label)),
            "predicted": F.one_hot(guess, logits.shape[1]).sum(0),
        }

    def predict(self, batch: Tensors) -> Tensors:
        """`logits` float32 (B, classes)."""
        return {"logits": self(batch["image"])}

    def inspect(self, batch: Tensors) -> Tensors:
        """The activity of hidden units, and the last of them as features."""
        seen: list[Tensor] = []
        self(batch["image"], seen)
        return {**activity(seen), "features": seen[-1]}
