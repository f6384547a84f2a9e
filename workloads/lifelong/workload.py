"""Tasks one after another, each until it is mastered: lifelong learning with a small memory.

What counts is when the last task has been mastered while the earlier ones are still known. After
Baker, New et al., "A Domain-Agnostic Approach for Characterization of Lifelong Learning Systems"
(arXiv 2301.07799), whose measures `gradathlon lifelong` computes from a trial's record.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from scoring.ground.words import Role
from workloads import images
from workloads.contract import (
    Array,
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
from workloads.lifelong.data import TaskStream
from workloads.lifelong.settings import LifelongScale

if TYPE_CHECKING:
    from workloads.model_jax import JaxModel
    from workloads.model_torch import TorchModel

RETAINED = "validation/retained"
PROBED = 100
"""Images that diagnostics look at, evenly spread over the tasks."""


class Lifelong(Workload[LifelongScale]):
    """Image classification, task after task, judged by what is retained of the mastered ones."""

    sums = ("loss", "correct", "count", "task_correct", "task_count")

    @property
    def classes(self) -> int:
        """Those of one task."""
        return self.settings.data.form.classes

    def parameters(self) -> dict[str, ParameterSpec]:
        """Convolutions (out, in, 3, 3) and norms of the stages, then linear layers (out, in)."""
        shapes: dict[str, tuple[tuple[int, ...], Role]] = {}
        for stage, (inputs, outputs) in enumerate(self.settings.stages):
            for index, source in enumerate((inputs, outputs, outputs)):
                name = f"stages.{stage}.convolutions.{index}.weight"
                shapes[name] = ((outputs, source, 3, 3), "tensor")
            for index in range(3):
                for part in ("weight", "bias"):
                    shapes[f"stages.{stage}.norms.{index}.{part}"] = ((outputs,), "norm")
        last = len(self.settings.widths) - 2
        for index, (inputs, outputs) in enumerate(itertools.pairwise(self.settings.widths)):
            role: Role = "head" if index == last else "weight"
            shapes[f"layers.{index}.weight"] = ((outputs, inputs), role)
            shapes[f"layers.{index}.bias"] = ((outputs,), "bias")
        return {name: ParameterSpec(shape, role) for name, (shape, role) in shapes.items()}

    def initial_weights(self, seed: int) -> Weights:
        """Weights from N(0, 2 / fan_in), the last layer's from N(0, 1 / fan_in).

        Gains are 1, biases 0.
        """
        random = np.random.default_rng(seed)
        weights: Weights = {}
        for name, spec in self.parameters().items():
            if spec.role in ("weight", "head", "tensor"):
                gain = 1 if spec.role == "head" else 2
                spread = math.sqrt(gain / math.prod(spec.shape[1:]))
                weights[name] = random.normal(0.0, spread, spec.shape).astype(np.float32)
            else:
                fill = 1 if spec.role == "norm" and name.endswith(".weight") else 0
                weights[name] = np.full(spec.shape, fill, np.float32)
        return weights

    def fetch(self) -> None:
        """Fetch the digits (toy), or look for the files (laptop, standard)."""
        images.fetch(self.settings.data.source)

    def data_sha256(self) -> str:
        """Of the images and their classes."""
        return images.load(self.settings.data.source).digest()

    def stream(self, seed: int) -> TaskStream:
        """Batches of the present task and of remembered images; tasks depend on the seed alone."""
        settings = self.settings
        dataset = images.load(settings.data.source)
        return TaskStream(dataset, settings.data, settings.batch_size, seed)

    def evaluate(
        self, judged: Judged, split: Split, stream: Stream, window: Window
    ) -> dict[str, float]:
        """Accuracy on unseen images of every task; `validation/retained` is what is judged.

        That is the mean over all tasks, where one not yet learnt counts as 0: mastered, or, where
        turns have a fixed length, had its turn. `task00/accuracy` and so on are the tasks' own,
        learnt or not.
        """
        assert isinstance(stream, TaskStream)
        tasks = range(self.settings.data.tasks)
        if split == "test":
            accuracy = [_accuracies(judged.measure(stream.test(index)))[index] for index in tasks]
            return {"test/accuracy": float(np.mean(accuracy))}
        accuracy = list(_accuracies(judged.measure(stream.validation())))
        learnt = stream.learnt
        metrics = {
            RETAINED: float(sum(accuracy[index] for index in learnt) / len(tasks)),
            "validation/accuracy": float(np.mean(accuracy)),
            "stream/learnt": float(len(learnt)),
        }
        if window.steps:
            metrics["train/accuracy"] = window.sums["correct"] / window.sums["count"]
        return metrics | {f"task{index:02}/accuracy": float(accuracy[index]) for index in tasks}

    def probe(self, stream: Stream) -> Batch:
        """Some validation images of every task."""
        assert isinstance(stream, TaskStream)
        judged = stream.validation()
        places = np.linspace(0, len(judged["label"]), PROBED, endpoint=False).astype(int)
        return {name: values[places] for name, values in judged.items()}

    def batch_like(self, seed: int = 0) -> Batch:
        """Uniform noise for images, uniform labels and tasks."""
        random, data = np.random.default_rng(seed), self.settings.data
        size = self.settings.batch_size
        return {
            "image": random.random((size, data.form.pixels), dtype=np.float32),
            "label": random.integers(0, data.form.classes, size, dtype=np.int32),
            "task": random.integers(0, data.tasks, size, dtype=np.int32),
        }

    def observations_like(self) -> list[Array]:
        """As many images as a check looks at, and as a batch has new ones."""
        data = self.settings.data
        counts = (data.check, self.settings.batch_size - data.replay)
        return [np.zeros((count, data.form.pixels), np.float32) for count in counts]

    def torch_model(self) -> TorchModel:
        """The network in PyTorch."""
        from workloads.lifelong.model_torch import LifelongTorch

        return LifelongTorch(self.settings)

    def jax_model(self) -> JaxModel:
        """The network in JAX."""
        from workloads.lifelong.model_jax import LifelongJax

        return LifelongJax(self.settings)


def _accuracies(sums: dict[str, Array]) -> Array:
    """Each task's share of right answers; 0 for one that was not asked about."""
    return np.asarray(sums["task_correct"]) / np.maximum(np.asarray(sums["task_count"]), 1)


FAMILY = Family(Lifelong, LifelongScale, artefacts=(images.MNIST_5K,))
