"""Emulation of an atmosphere over a slab ocean under several CO2 levels, one step at a time.

After Clark et al., "ACE2-SOM: Coupling an ML atmospheric emulator to a slab ocean and learning
the sensitivity of climate to changed CO2" (arXiv 2412.04418). A spherical Fourier neural operator
learns six-hour steps at 1x, 2x and 4x CO2; 3x is kept for the test.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from scoring.ground.words import Role
from workloads.climate import climatology, data, forecast
from workloads.climate.archive import FORCINGS
from workloads.climate.harmonics import harmonics
from workloads.climate.settings import ClimateScale, ForecastScale
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
from workloads.kinds import Family, Kind

if TYPE_CHECKING:
    from workloads.climate.archive import Archive
    from workloads.model_jax import JaxModel
    from workloads.model_torch import TorchModel

POSITION_STD = 0.02


class Climate(Workload[ClimateScale]):
    """Steps of six hours, judged by `validation/rmse`: persistence is 1, perfection 0.

    The root mean square error of each prognostic channel over the sphere, over that of saying
    that nothing changes; the mean over channels.
    """

    sums = ("loss", "squared", "persistence", "count")

    def parameters(self) -> dict[str, ParameterSpec]:
        """Matrices are (out, in), spectral ones (degrees, in, out, 2): real and imaginary part."""
        settings, model = self.settings, self.settings.model
        width, grid = model.width, settings.data
        shapes: dict[str, tuple[tuple[int, ...], Role]] = {
            "position": ((width, grid.nlat, grid.nlon), "embedding"),
            "encoder.weight": ((width, settings.inputs), "weight"),
            "encoder.bias": ((width,), "bias"),
        }
        for layer in range(model.layers):
            block = f"blocks.{layer}."
            shapes |= {
                block + "norm1.weight": ((width,), "norm"),
                block + "norm1.bias": ((width,), "bias"),
                block + "spectral.weight": ((model.degrees, width, width, 2), "tensor"),
                block + "skip.weight": ((width, width), "weight"),
                block + "skip.bias": ((width,), "bias"),
                block + "norm2.weight": ((width,), "norm"),
                block + "norm2.bias": ((width,), "bias"),
                block + "up.weight": ((model.hidden, width), "weight"),
                block + "up.bias": ((model.hidden,), "bias"),
                block + "down.weight": ((width, model.hidden), "weight"),
                block + "down.bias": ((width,), "bias"),
            }
        shapes |= {
            "decoder.weight": ((settings.outputs, width + settings.inputs), "head"),
            "decoder.bias": ((settings.outputs,), "bias"),
        }
        return {name: ParameterSpec(shape, role) for name, (shape, role) in shapes.items()}

    def initial_weights(self, seed: int) -> Weights:
        """Gaussian matrices of variance 1 / (inputs gain^2), a small decoder, biases zero.

        Spectral matrices have half of that variance for the real and half for the imaginary part.
        The decoder begins ten times smaller, so that the first prediction is near persistence.
        """
        random = np.random.default_rng(seed)
        gain = self.settings.model.gain
        weights: Weights = {}
        for name, spec in self.parameters().items():
            if spec.role in ("norm", "bias"):
                value = 1.0 if spec.role == "norm" else 0.0
                weights[name] = np.full(spec.shape, value, np.float32)
                continue
            std = POSITION_STD
            if spec.role != "embedding":
                fan_in = spec.shape[1]
                std = math.sqrt((0.5 if "spectral" in name else 1.0) / fan_in)
            std *= (0.1 if name.startswith("decoder") else 1.0) / gain
            weights[name] = random.standard_normal(spec.shape, np.float32) * np.float32(std)
        return weights

    def fetch(self) -> None:
        """Generate the archive in a process of its own, or map ACE2-SOM's files."""
        data.fetch(self.settings.data)

    def at_hand(self) -> bool:
        """Whether the archive need not be generated first."""
        return data.at_hand(self.settings.data)

    def made_here_sha256(self) -> str | None:
        """Of a generated archive: another machine's is another weather."""
        if not data.is_generated(self.settings.data):
            return None
        return self.data_sha256() if self.at_hand() else ""

    def data_sha256(self) -> str:
        """Of every run's states and of the scales: no two machines generate the same."""
        return self._archive().digest()

    def stream(self, seed: int) -> Stream:
        """Shuffled steps of all training levels; their order depends on the seed alone."""
        archive = self._archive()
        return data.steps(archive, self.settings.batch_size, seed, self.settings.data.prefetch)

    def evaluate(
        self, judged: Judged, split: Split, stream: Stream, window: Window
    ) -> dict[str, float]:
        """One-step error; when a trial has ended, also what the emulator does on its own."""
        archive, settings = self._archive(), self.settings
        pairs = archive.validation if split == "validation" else archive.test
        count = settings.data.validation if split == "validation" else settings.data.test
        squared: Array = np.zeros(settings.outputs)
        persistence: Array = np.zeros(settings.outputs)
        for batch in data.batches(archive, data.spread(pairs, count), settings.batch_size):
            sums = judged.measure(batch)
            squared += sums["squared"]
            persistence += sums["persistence"]
        skill = np.sqrt(squared / persistence)[: settings.prognostic]
        metrics = {f"{split}/rmse": float(skill.mean())}
        if split == "validation":
            return metrics
        return metrics | climatology.judge(archive, judged, settings.data.rollout_days)

    def probe(self, stream: Stream) -> Batch:
        """Validation steps, half a batch: what is not compiled takes more memory."""
        archive, size = self._archive(), max(1, self.settings.batch_size // 2)
        return archive.batch(data.spread(archive.validation, size))

    def batch_like(self, seed: int = 0) -> Batch:
        """Gaussian fields."""
        random, settings = np.random.default_rng(seed), self.settings
        size, nlat, nlon = settings.batch_size, settings.data.nlat, settings.data.nlon
        channels = {
            "state": settings.prognostic,
            "forcing": len(FORCINGS),
            "target": settings.outputs,
        }
        return {
            name: random.standard_normal((size, count, nlat, nlon), np.float32)
            for name, count in channels.items()
        }

    def torch_model(self) -> TorchModel:
        """The operator in PyTorch."""
        from workloads.climate.model_torch import ClimateTorch

        return ClimateTorch(self.settings, *self._tables())

    def jax_model(self) -> JaxModel:
        """The operator in JAX."""
        from workloads.climate.model_jax import ClimateJax

        return ClimateJax(self.settings, *self._tables())

    def _tables(self) -> tuple[Any, Array]:
        grid = self.settings.data.grid
        return harmonics(grid, self.settings.model.degrees), grid.area.astype(np.float32)

    def _archive(self) -> Archive:
        return data.load(self.settings.data)


class Forecasts(Climate):
    """The variant `+rollout`: the same training, judged by `validation/forecast_rmse`."""

    settings: ForecastScale

    def evaluate(
        self, judged: Judged, split: Split, stream: Stream, window: Window
    ) -> dict[str, float]:
        """The error of free forecasts, and what the base is judged by beside it."""
        archive, settings = self._archive(), self.settings
        pairs = archive.validation if split == "validation" else archive.test
        starts = data.stretches(pairs, settings.forecast_steps)
        chosen = data.spread(starts, settings.forecasts, "forecasts")
        error = forecast.rmse(archive, judged, chosen, settings.forecast_steps)
        return super().evaluate(judged, split, stream, window) | {f"{split}/forecast_rmse": error}


FAMILY = Family(
    Climate,
    ClimateScale,
    artefacts=(data.SHORT, data.LONG),
    tasks={"rollout": Kind(Forecasts, ForecastScale)},
)
