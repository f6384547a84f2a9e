"""The variant `+ctr`: click-through rates by DCN-V2, judged by AUC, as BARS-CTR defines them.

DCN-V2 (Wang et al. 2021) in its parallel form: layers that multiply the input into themselves
beside a plain deep network, and a linear map of both to the log-odds of a click. Rates are judged
by the area under the ROC curve and by mean logloss.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import TYPE_CHECKING

import numpy as np

from scoring.ground.words import Role
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
from workloads.digest import data_digest
from workloads.errors import WorkloadError
from workloads.kinds import Kind
from workloads.recommender.ctr import data as clicks
from workloads.recommender.ctr.settings import ClickScale
from workloads.recommender.stream import epochs

if TYPE_CHECKING:
    from workloads.model_jax import JaxModel
    from workloads.model_torch import TorchModel

_PARTS: dict[Split, clicks.Part] = {"validation": "valid", "test": "test"}


class ClickRate(Workload[ClickScale]):
    """Prediction of clicks, judged by AUC on held-out examples."""

    sums = ("loss", "count")

    def parameters(self) -> dict[str, ParameterSpec]:
        """One table for all categories, a vector for each number, and the two networks."""
        data, model, inputs = self.settings.data, self.settings.model, self.settings.inputs
        shapes: dict[str, tuple[tuple[int, ...], Role]] = {
            "embedding.weight": ((data.vocabulary, model.width), "embedding"),
            "number.weight": ((data.numbers, model.width), "embedding"),
        }
        layers = [(f"cross.{index}", inputs, inputs) for index in range(model.crosses)]
        widths = itertools.pairwise([inputs, *model.hidden])
        layers += [(f"deep.{index}", *pair) for index, pair in enumerate(widths)]
        for name, fan_in, fan_out in [*layers, ("head", inputs + model.hidden[-1], 1)]:
            role: Role = "head" if name == "head" else "weight"
            shapes[f"{name}.weight"] = ((fan_out, fan_in), role)
            shapes[f"{name}.bias"] = ((fan_out,), "bias")
        return {name: ParameterSpec(shape, role) for name, (shape, role) in shapes.items()}

    def initial_weights(self, seed: int) -> Weights:
        """Matrices of variance 1 / inputs (2 before a ReLU); embeddings as the scale says."""
        random = np.random.default_rng(seed)
        weights: Weights = {}
        for name, spec in self.parameters().items():
            if spec.role == "bias":
                weights[name] = np.zeros(spec.shape, np.float32)
                continue
            gain = 2 if name.startswith("deep.") else 1
            std = (gain / spec.shape[1]) ** 0.5
            if spec.role == "embedding":
                std = self.settings.model.embedding_std
            drawn = random.standard_normal(spec.shape, np.float32)
            weights[name] = drawn * np.float32(std)
        return weights

    def fetch(self) -> None:
        """Fetch MovieLens-100k (toy, laptop), or convert Criteo_x1's files (standard), once."""
        clicks.fetch(self.settings.data.source)

    def data_sha256(self) -> str:
        """Of the examples of all parts."""
        parts = clicks.load(self.settings.data.source).values()
        return data_digest(
            getattr(part, field.name) for part in parts for field in dataclasses.fields(part)
        )

    def stream(self, seed: int) -> Stream:
        """Training examples in shuffled epochs, with the units kept by dropout."""
        train, size = self._part("train"), self.settings.batch_size

        def make(rows: Array, random: np.random.Generator) -> Batch:
            return train.batch(rows) | self._kept(random)

        return epochs(len(train.click), size, make, seed, self.settings.data.prefetch)

    def evaluate(
        self, judged: Judged, split: Split, stream: Stream, window: Window
    ) -> dict[str, float]:
        """AUC and mean logloss, in nats, of the part's first examples; of all of them at test."""
        part, data = self._part(_PARTS[split]), self.settings.data
        count = min(data.validation, len(part.click)) if split == "validation" else len(part.click)
        logloss, scores = 0.0, np.empty(count, np.float32)
        for start in range(0, count, data.rows):
            rows = slice(start, min(start + data.rows, count))
            batch = part.batch(rows)
            logloss += float(judged.measure(batch)["loss"])
            scores[rows] = judged.predict(batch)["score"]
        return {
            f"{split}/auc": area_under_curve(scores, part.click[:count] == 1),
            f"{split}/logloss": logloss / count,
        }

    def probe(self, stream: Stream) -> Batch:
        """The first validation examples, as many as a batch has, with no unit dropped."""
        return self._part("valid").batch(slice(0, self.settings.batch_size))

    def batch_like(self, seed: int = 0) -> Batch:
        """Categories drawn uniformly, numbers in [0, 1], even odds of a click.

        `categories` int32 (B, C), `numbers` float32 (B, K), `click` float32 (B,), and with
        dropout `kept` uint8 (B, hidden units), 1 where a unit is kept.
        """
        random, data = np.random.default_rng(seed), self.settings.data
        size = self.settings.batch_size
        return {
            "categories": random.integers(0, data.vocabulary, (size, data.categories), np.int32),
            "numbers": random.random((size, data.numbers), np.float32),
            "click": random.integers(0, 2, size).astype(np.float32),
            **self._kept(random),
        }

    def torch_model(self) -> TorchModel:
        """DCN-V2 in PyTorch."""
        from workloads.recommender.ctr.model_torch import DcnTorch

        return DcnTorch(self.settings)

    def jax_model(self) -> JaxModel:
        """DCN-V2 in JAX."""
        from workloads.recommender.ctr.model_jax import DcnJax

        return DcnJax(self.settings)

    def _kept(self, random: np.random.Generator) -> Batch:
        model = self.settings.model
        if not model.dropped:
            return {}
        shape = (self.settings.batch_size, sum(model.hidden))
        drawn = random.integers(0, 256, shape, np.uint8)
        return {"kept": (drawn >= model.dropped).astype(np.uint8)}

    def _part(self, part: clicks.Part) -> clicks.Clicks:
        return self._parts[part]

    @functools.cached_property
    def _parts(self) -> dict[clicks.Part, clicks.Clicks]:
        data = self.settings.data
        parts = clicks.load(data.source)
        for (name, part), expected in zip(parts.items(), data.examples, strict=True):
            if len(part.click) != expected:
                raise WorkloadError(
                    f"{data.source}: the {name} part has {len(part.click):,} examples, "
                    f"expected {expected:,}; fetch the files again"
                )
            if part.categories.min() < 0 or part.categories.max() >= data.vocabulary:
                raise WorkloadError(
                    f"{data.source}: an id of the {name} part is {data.vocabulary:,} or more; "
                    "fetch the files again"
                )
        return parts


def area_under_curve(scores: Array, clicked: Array) -> float:
    """The share of (clicked, not clicked) pairs that `scores` put in the right order.

    A tie counts half. NaN where there is no such pair, or where a score is NaN.
    """
    ones, zeros = int(clicked.sum()), int((~clicked).sum())
    if not ones or not zeros or np.isnan(scores).any():
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return float((ranks[place][clicked].sum() - ones * (ones + 1) / 2) / (ones * zeros))


KIND = Kind(ClickRate, ClickScale)
