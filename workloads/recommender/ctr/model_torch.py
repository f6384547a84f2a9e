"""DCN-V2 in PyTorch."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.model_torch import Tensors, TorchModel, activity

if TYPE_CHECKING:
    from workloads.recommender.ctr.settings import ClickScale


class DcnTorch(TorchModel):
    """DCN-V2: crossed and deep features of the embedded columns, and a linear head on both.

    Networks compute in the scale's type; log-odds and loss are float32.
    """

    def __init__(self, settings: ClickScale) -> None:
        super().__init__()
        data, model, inputs = settings.data, settings.model, settings.inputs
        self.dtype: torch.dtype = getattr(torch, settings.compute.dtype)
        self.hidden = model.hidden
        self.l2 = model.embedding_l2
        self.scale = 256 / (256 - model.dropped)
        self.embedding = nn.Embedding(data.vocabulary, model.width)
        self.number = nn.Embedding(data.numbers, model.width)
        self.cross = nn.ModuleList(nn.Linear(inputs, inputs) for _ in range(model.crosses))
        pairs = itertools.pairwise([inputs, *model.hidden])
        self.deep = nn.ModuleList(nn.Linear(one, other) for one, other in pairs)
        self.head = nn.Linear(inputs + model.hidden[-1], 1)

    def loss(self, batch: Tensors, generator: torch.Generator) -> tuple[Tensor, Tensors]:
        """Mean nats, with the embeddings' L2 term if any; the by-product is plain."""
        nats = F.binary_cross_entropy_with_logits(self._score(batch), batch["click"])
        if not self.l2:
            return nats, {"loss": nats.detach()}
        squares = sum(table.weight.square().sum() for table in (self.embedding, self.number))
        return nats + self.l2 / 2 * squares, {"loss": nats.detach()}

    def measure(self, batch: Tensors) -> Tensors:
        """`loss`, nats summed over `count` examples."""
        score = self._score(batch)
        loss = F.binary_cross_entropy_with_logits(score, batch["click"], reduction="sum")
        count = torch.full((), len(score), device=score.device)
        return {"loss": loss, "count": count}

    def predict(self, batch: Tensors) -> Tensors:
        """`score`, each example's log-odds float32 (B,)."""
        return {"score": self._score(batch)}

    def inspect(self, batch: Tensors) -> Tensors:
        """The activity of the deep network's units."""
        seen: list[Tensor] = []
        self._score(batch, seen)
        return activity(seen)

    def _score(self, batch: Tensors, seen: list[Tensor] | None = None) -> Tensor:
        """Log-odds of a click, float32 (B,); units are dropped where the batch says so."""
        embedded = self.embedding(batch["categories"].long()).flatten(1)
        scaled = (batch["numbers"][..., None] * self.number.weight).flatten(1)
        start = torch.cat((embedded, scaled), dim=1).to(self.dtype)
        crossed = start
        for layer in self.cross:
            crossed = start * _linear(crossed, layer) + crossed  # type: ignore[arg-type]
        deep = start
        kept = batch["kept"].split(self.hidden, dim=1) if "kept" in batch else None
        for index, layer in enumerate(self.deep):
            deep = F.relu(_linear(deep, layer))  # type: ignore[arg-type]
            if seen is not None:
                seen.append(deep)
            if kept is not None:
                deep = deep * kept[index].to(self.dtype) * self.scale
        return _linear(torch.cat((crossed, deep), dim=1), self.head)[:, 0].float()


def _linear(x: Tensor, layer: nn.Linear) -> Tensor:
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return F.linear(x, layer.weight.to(x.dtype), bias)
