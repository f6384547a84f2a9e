"""The network in PyTorch: convolutional stages, if any, then linear layers."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.lifelong.settings import GROUP, LifelongScale
from workloads.model_torch import Tensors, TorchModel, activity, smoothed


class Stage(nn.Module):
    """A convolution that is then halved in its sides, and a residual block of two more."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(source, outputs, 3, padding=1, bias=False)
            for source in (inputs, outputs, outputs)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(outputs // GROUP, outputs) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (B, inputs, S, S) to (B, outputs, S / 2, S / 2)."""
        x = F.max_pool2d(self._layer(0, x), 2)
        return x + self._layer(2, self._layer(1, x))

    def _layer(self, index: int, x: Tensor) -> Tensor:
        convolution, norm = self.convolutions[index], self.norms[index]
        assert isinstance(convolution, nn.Conv2d)
        x = F.conv2d(x, convolution.weight.to(x.dtype), padding=1)
        return F.relu(norm(x.float()).to(x.dtype))


class LifelongTorch(TorchModel):
    """One head for the classes of all tasks: the learner is not told which task an image is of."""

    def __init__(self, settings: LifelongScale) -> None:
        super().__init__()
        self.stages = nn.ModuleList(Stage(*pair) for pair in settings.stages)
        pairs = itertools.pairwise(settings.widths)
        self.layers = nn.ModuleList(nn.Linear(inputs, outputs) for inputs, outputs in pairs)
        self.form = settings.data.form
        self.tasks = settings.data.tasks
        self.dtype: torch.dtype = getattr(torch, settings.compute.dtype)

    def forward(self, image: Tensor, seen: list[Tensor] | None = None) -> Tensor:
        """Logits float32 (B, classes) of images float32 (B, pixels).

        What goes into each linear layer, images apart, goes into `seen`.
        """
        x = image.to(self.dtype)
        if len(self.stages):
            x = x.view(-1, self.form.channels, self.form.side, self.form.side)
            for stage in self.stages:
                x = stage(x)
            x = x.mean((2, 3))
        for index, layer in enumerate(self.layers):
            x = F.relu(x) if index else x
            if seen is not None and (index or len(self.stages)):
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
        """Sums over the examples; `task_correct` and `task_count` (tasks,) are those by task."""
        logits, label = self(batch["image"]), batch["label"].long()
        correct = logits.argmax(1) == label
        of_task = F.one_hot(batch["task"].long(), self.tasks)
        return {
            "loss": F.cross_entropy(logits, label, reduction="sum"),
            "correct": correct.sum(),
            "count": torch.full_like(label[0], len(label)),
            "task_correct": (of_task * correct[:, None]).sum(0),
            "task_count": of_task.sum(0),
        }

    def predict(self, batch: Tensors) -> Tensors:
        """`logits` float32 (B, classes)."""
        return {"logits": self(batch["image"])}

    def inspect(self, batch: Tensors) -> Tensors:
        """The activity of hidden units, and the last of them as features."""
        seen: list[Tensor] = []
        self(batch["image"], seen)
        return {**activity(seen), "features": seen[-1]}

    def act(self, observations: Tensor) -> Tensor:
        """The most probable class int32 (B,) of images float32 (B, pixels)."""
        return self(observations).argmax(1).int()
