"""Image classification under concept shift: classes exchange labels, again and again, for good.

After Man, Damasio and Neven, "Need is All You Need: Homeostatic Neural Networks Adapt to Concept
Shift" (arXiv 2205.08645). What counts is how well the learner predicts each batch before it
learns from it.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from scoring.ground.words import Role
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
from workloads.homeostatic import data
from workloads.homeostatic.settings import HomeostaticScale
from workloads.kinds import Family

if TYPE_CHECKING:
    from workloads.model_jax import JaxModel
    from workloads.model_torch import TorchModel

PREQUENTIAL = "prequential/accuracy"
PROBED = 100
"""Images that diagnostics look at: as many of each class."""


class Homeostatic(Workload[HomeostaticScale]):
    """Classification of 28 x 28 images whose labels shift, judged by prequential accuracy."""

    sums = ("loss", "correct", "count", "predicted")

    prequential = ("correct", "count")

    @property
    def classes(self) -> int:
        """Ten, whatever the shift."""
        return data.CLASSES

    def parameters(self) -> dict[str, ParameterSpec]:
        """Weight (out, in) and bias (out,) of every layer."""
        specs = {}
        last = len(self.settings.widths) - 2
        for index, (inputs, outputs) in enumerate(itertools.pairwise(self.settings.widths)):
            role: Role = "head" if index == last else "weight"
            specs[f"layers.{index}.weight"] = ParameterSpec((outputs, inputs), role)
            specs[f"layers.{index}.bias"] = ParameterSpec((outputs,), "bias")
        return specs

    def initial_weights(self, seed: int) -> Weights:
        """Weights from N(0, 2 / fan_in); biases zero."""
        random = np.random.default_rng(seed)
        weights: Weights = {}
        for name, spec in self.parameters().items():
            if spec.role != "bias":
                drawn = random.normal(0.0, math.sqrt(2 / spec.shape[1]), spec.shape)
                weights[name] = drawn.astype(np.float32)
            else:
                weights[name] = np.zeros(spec.shape, np.float32)
        return weights

    def fetch(self) -> None:
        """Fetch the digits (toy), or look for the idx files (laptop, standard)."""
        images.fetch(self.settings.data.source)

    def data_sha256(self) -> str:
        """Of the images and their classes."""
        return images.load(self.settings.data.source).digest()

    def stream(self, seed: int) -> data.ShiftStream:
        """Training batches whose labels shift; order and shifts depend on the seed alone."""
        settings = self.settings
        train = images.load(settings.data.source).train
        size, season = settings.batch_size, settings.data.season_steps
        return data.ShiftStream(train, size, settings.data.periods, season, seed)

    def evaluate(
        self, judged: Judged, split: Split, stream: Stream, window: Window
    ) -> dict[str, float]:
        """Prequential accuracy since the last evaluation, accuracy on unseen images.

        Held-out images are labelled as the stream labels them now. Before the first step there is
        no prequential accuracy: NaN. One far above the accuracy on unseen images is of no model
        that has learnt: it is cut off `guard` above it.
        """
        assert isinstance(stream, data.ShiftStream)
        cut = self.settings.data.validation
        where = slice(0, cut) if split == "validation" else slice(cut, None)
        held_out = images.load(self.settings.data.source).held_out
        sums = judged.measure(held_out.batch(where, stream.permutation))
        metrics = {f"{split}/accuracy": float(sums["correct"]) / float(sums["count"])}
        if split == "validation":
            seen = window.drawn.get("count", 0)
            right = window.drawn["correct"] / seen if seen else math.nan
            most = metrics["validation/accuracy"] + self.settings.data.guard
            metrics[PREQUENTIAL] = min(right, most) if seen else right
        return metrics

    def probe(self, stream: Stream) -> Batch:
        """The first unseen images, labelled as the stream labels them now."""
        assert isinstance(stream, data.ShiftStream)
        held_out = images.load(self.settings.data.source).held_out
        return held_out.batch(slice(0, PROBED), stream.permutation)

    def batch_like(self, seed: int = 0) -> Batch:
        """Uniform noise for images, uniform labels."""
        random = np.random.default_rng(seed)
        size = self.settings.batch_size
        return {
            "image": random.random((size, images.PIXELS), dtype=np.float32),
            "label": random.integers(0, data.CLASSES, size, dtype=np.int32),
        }

    def torch_model(self) -> TorchModel:
        """The network in PyTorch."""
        from workloads.homeostatic.model_torch import HomeostaticTorch

        return HomeostaticTorch(self.settings.widths, self.settings.compute.dtype)

    def jax_model(self) -> JaxModel:
        """The network in JAX."""
        from workloads.homeostatic.model_jax import HomeostaticJax

        return HomeostaticJax(len(self.settings.widths) - 1, self.settings.compute.dtype)


FAMILY = Family(Homeostatic, HomeostaticScale, artefacts=(images.MNIST_5K,))
