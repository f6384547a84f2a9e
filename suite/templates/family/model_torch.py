"""The network in PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.model_torch import Tensors, TorchModel

from .settings import CLASSES, PIXELS


class DigitsTorch(TorchModel):
    """Pixels, a hidden layer with ReLU, logits."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(PIXELS, hidden)
        self.head = nn.Linear(hidden, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Logits float32 (B, classes)."""
        logits: Tensor = self.head(F.relu(self.hidden(image)))
        return logits

    def loss(self, batch: Tensors, generator: torch.Generator) -> tuple[Tensor, Tensors]:
        """Mean cross-entropy in nats."""
        value = F.cross_entropy(self(batch["image"]), batch["label"].long())
        return value, {"loss": value.detach()}

    def measure(self, batch: Tensors) -> Tensors:
        """Sums of nats, correct predictions and examples."""
        logits, label = self(batch["image"]), batch["label"].long()
        return {
            "loss": F.cross_entropy(logits, label, reduction="sum"),
            "correct": (logits.argmax(1) == label).sum(),
            "count": torch.full_like(label[0], len(label)),
        }

    def predict(self, batch: Tensors) -> Tensors:
        """`logits` float32 (B, classes)."""
        return {"logits": self(batch["image"])}
