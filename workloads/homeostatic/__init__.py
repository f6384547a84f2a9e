"""Image classification under concept shift: classes exchange labels, again and again, for good.

After Man, Damasio and Neven, "Need is All You Need: Homeostatic Neural Networks Adapt to Concept
Shift" (arXiv 2205.08645). What counts is how well the learner predicts each batch before it
learns from it.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pydantic

from scoring.ground.documents import Model
from workloads import images
from workloads.config import Scale
from workloads.contract import (
    Batch,
    JaxModel,
    Measure,
    ParameterSpec,
    Split,
    Stream,
    Weights,
    Window,
    Workload,
)
from workloads.homeostatic import data

PREQUENTIAL = "prequential/accuracy"


class DataConfig(Model):
    """Which images, and how often their labels shift."""

    source: data.Source
    validation: pydantic.PositiveInt
    """How many held-out images an evaluation looks at; the others are the test set."""
    shift_period: pydantic.PositiveInt
    """Steps between shifts at rate 1."""
    rates: list[pydantic.PositiveFloat] = pydantic.Field(min_length=1)
    """How many times as often classes shift, season after season; one rate is for ever."""
    season: pydantic.PositiveInt
    """Steps of a season, where there are several."""

    @property
    def periods(self) -> list[int]:
        """Steps between shifts, season after season."""
        return [round(self.shift_period / rate) for rate in self.rates]

    @property
    def season_steps(self) -> int:
        """Steps of a season; a single one is a shift period."""
        return self.season if len(self.rates) > 1 else self.periods[0]

    @property
    def year(self) -> int:
        """Steps after which the seasons come round again."""
        return self.season_steps * len(self.rates)

    @pydantic.model_validator(mode="after")
    def _whole_periods(self) -> DataConfig:
        for rate, period in zip(self.rates, self.periods, strict=True):
            if not math.isclose(period * rate, self.shift_period):
                raise ValueError(
                    f"shift_period {self.shift_period} over rate {rate:g} is no whole number of "
                    "steps; choose another rate"
                )
            if self.season_steps % period:
                raise ValueError(
                    f"season {self.season} is no whole number of shift periods of {period} steps; "
                    f"make it a multiple of {period}"
                )
        return self


class ModelConfig(Model):
    """The network between 784 pixels and 10 classes."""

    hidden: list[pydantic.PositiveInt]
    """Widths of the hidden layers."""


class HomeostaticScale(Scale):
    """The numbers of one scale of the family."""

    data: DataConfig
    model: ModelConfig

    @property
    def widths(self) -> list[int]:
        """Pixels, hidden widths, classes."""
        return [images.PIXELS, *self.model.hidden, data.CLASSES]

    @pydantic.model_validator(mode="after")
    def _whole_windows(self) -> HomeostaticScale:
        # Right after a shift accuracy is low and later it is high: an average over a piece of a
        # period would depend on where it was cut.
        for period in self.data.periods:
            if self.evaluation_period % period:
                raise ValueError(
                    f"evaluation_period {self.evaluation_period} is no whole number of shift "
                    f"periods of {period} steps; make it a multiple of {period}"
                )
        judged = self.evaluation_period * self.metric_window
        if judged % self.data.year:
            raise ValueError(
                f"evaluation_period {self.evaluation_period} times metric_window "
                f"{self.metric_window} is no whole number of years of {self.data.year} steps; "
                f"make the product a multiple of {self.data.year}"
            )
        return self


class Homeostatic(Workload[HomeostaticScale]):
    """Classification of 28 x 28 images whose labels shift, judged by prequential accuracy."""

    prequential = ("correct", "count")

    @property
    def classes(self) -> int:
        """Ten, whatever the shift."""
        return data.CLASSES

    def parameters(self) -> dict[str, ParameterSpec]:
        """Weight (out, in) and bias (out,) of every layer."""
        specs = {}
        for index, (inputs, outputs) in enumerate(itertools.pairwise(self.settings.widths)):
            specs[f"layers.{index}.weight"] = ParameterSpec((outputs, inputs), "weight")
            specs[f"layers.{index}.bias"] = ParameterSpec((outputs,), "bias")
        return specs

    def initial_weights(self, seed: int) -> Weights:
        """Weights from N(0, 2 / fan_in); biases zero."""
        random = np.random.default_rng(seed)
        weights: Weights = {}
        for name, spec in self.parameters().items():
            if spec.role == "weight":
                drawn = random.normal(0.0, math.sqrt(2 / spec.shape[1]), spec.shape)
                weights[name] = drawn.astype(np.float32)
            else:
                weights[name] = np.zeros(spec.shape, np.float32)
        return weights

    def fetch(self) -> None:
        """Fetch the digits (toy), or look for the idx files (laptop, standard)."""
        images.fetch(self.settings.data.source)

    def stream(self, seed: int) -> data.ShiftStream:
        """Training batches whose labels shift; order and shifts depend on the seed alone."""
        settings = self.settings
        train = images.load(settings.data.source).train
        size, season = settings.batch_size, settings.data.season_steps
        return data.ShiftStream(train, size, settings.data.periods, season, seed)

    def evaluate(
        self, measure: Measure, split: Split, stream: Stream, window: Window
    ) -> dict[str, float]:
        """Prequential accuracy since the last evaluation, accuracy on unseen images.

        Held-out images are labelled as the stream labels them now. Before the first step there is
        no prequential accuracy: NaN.
        """
        assert isinstance(stream, data.ShiftStream)
        cut = self.settings.data.validation
        where = slice(0, cut) if split == "validation" else slice(cut, None)
        held_out = images.load(self.settings.data.source).held_out
        sums = measure(held_out.batch(where, stream.permutation))
        metrics = {f"{split}/accuracy": float(sums["correct"]) / float(sums["count"])}
        if split == "validation":
            seen = window.drawn.get("count", 0)
            metrics[PREQUENTIAL] = window.drawn["correct"] / seen if seen else math.nan
        return metrics

    def batch_like(self, seed: int = 0) -> Batch:
        """Uniform noise for images, uniform labels."""
        random = np.random.default_rng(seed)
        size = self.settings.batch_size
        return {
            "image": random.random((size, images.PIXELS), dtype=np.float32),
            "label": random.integers(0, data.CLASSES, size, dtype=np.int32),
        }

    def torch_model(self) -> Any:
        """The network in PyTorch."""
        from workloads.homeostatic.model_torch import HomeostaticTorch

        return HomeostaticTorch(self.settings.widths, self.settings.compute.dtype)

    def jax_model(self) -> JaxModel:
        """The network in JAX."""
        from workloads.homeostatic.model_jax import HomeostaticJax

        return HomeostaticJax(len(self.settings.widths) - 1, self.settings.compute.dtype)
