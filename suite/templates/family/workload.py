"""The family: what is trained, from which weights, and how it is evaluated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from workloads import images
from workloads.contract import (
    Batch,
    Judged,
    ParameterSpec,
    Split,
    Stream,
    Weights,
    Window,
    Workload,
)
from workloads.kinds import Family

from . import data
from .settings import CLASSES, PIXELS, DigitsScale

if TYPE_CHECKING:
    from workloads.model_jax import JaxModel
    from workloads.model_torch import TorchModel


class Digits(Workload[DigitsScale]):
    """Digits, classified by a network with one hidden layer."""

    sums = ("loss", "correct", "count")

    @property
    def classes(self) -> int:
        """The number of classes."""
        return CLASSES

    def parameters(self) -> dict[str, ParameterSpec]:
        """Two layers; the second is the head."""
        hidden = self.settings.model.hidden
        return {
            "hidden.weight": ParameterSpec((hidden, PIXELS), "weight"),
            "hidden.bias": ParameterSpec((hidden,), "bias"),
            "head.weight": ParameterSpec((CLASSES, hidden), "head"),
            "head.bias": ParameterSpec((CLASSES,), "bias"),
        }

    def initial_weights(self, seed: int) -> Weights:
        """Normal with deviation sqrt(2 / inputs); biases 0."""
        random = np.random.default_rng(seed)
        return {
            name: random.normal(0, math.sqrt(2 / spec.shape[1]), spec.shape).astype(np.float32)
            if len(spec.shape) == 2
            else np.zeros(spec.shape, np.float32)
            for name, spec in self.parameters().items()
        }

    def fetch(self) -> None:
        """MNIST's digits, 5,000 of them."""
        data.fetch()

    def stream(self, seed: int) -> Stream:
        """Batches of training images."""
        return data.stream(self.settings.batch_size, seed)

    def evaluate(
        self, judged: Judged, split: Split, stream: Stream, window: Window
    ) -> dict[str, float]:
        """Share of held-out images classified correctly."""
        cut = self.settings.data.validation
        where = slice(0, cut) if split == "validation" else slice(cut, None)
        sums = judged.measure(data.held_out(where))
        metrics = {f"{split}/accuracy": float(sums["correct"]) / float(sums["count"])}
        if split == "validation" and window.steps:
            metrics["train/nats"] = window.sums["loss"] / window.steps
        return metrics

    def batch_like(self, seed: int = 0) -> Batch:
        """Noise for images, uniform labels."""
        return data.noise(self.settings.batch_size, seed)

    def torch_model(self) -> TorchModel:
        """The network in PyTorch."""
        from .model_torch import DigitsTorch

        return DigitsTorch(self.settings.model.hidden)

    def jax_model(self) -> JaxModel:
        """The network in JAX."""
        from .model_jax import DigitsJax

        return DigitsJax()


FAMILY = Family(Digits, DigitsScale, artefacts=(images.MNIST_5K,))
