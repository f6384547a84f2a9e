"""The numbers of one scale, checked."""

from __future__ import annotations

from typing import Literal

import pydantic

from scoring.ground.documents import Model
from workloads.climate.archive import DIAGNOSTICS, FORCINGS, prognostic_names
from workloads.climate.harmonics import Grid
from workloads.config import Scale


class DataSettings(Model):
    """Which archive, on which grid, and how much of it is looked at when judging."""

    source: Literal["slab-short", "slab-long", "ace2-som"]
    nlat: pydantic.PositiveInt
    nlon: pydantic.PositiveInt
    levels: pydantic.PositiveInt
    """Layers of the atmosphere that the archive holds."""
    validation: pydantic.PositiveInt
    """One-step examples that an evaluation looks at."""
    test: pydantic.PositiveInt
    """One-step examples at the held-out CO2 level."""
    rollout_days: pydantic.PositiveInt
    """How long the emulator runs on its own, over the slab ocean, when a trial has ended."""
    prefetch: pydantic.NonNegativeInt = 0
    """Batches made ahead by a thread."""

    @property
    def grid(self) -> Grid:
        """The Gaussian grid."""
        return Grid(self.nlat, self.nlon)


class ModelSettings(Model):
    """Sizes and form of the operator."""

    width: pydantic.PositiveInt
    """Channels between encoder and decoder."""
    hidden: pydantic.PositiveInt
    """Width of the blocks' MLPs."""
    layers: pydantic.PositiveInt
    degrees: pydantic.PositiveInt
    """Spherical harmonics of degree below this are mixed."""
    norm: Literal["layer", "instance"] = "layer"
    """Whether a norm averages over the sphere and all channels, or over the sphere alone."""
    gain: pydantic.PositiveFloat
    """What the model multiplies its stored matrices by; they start smaller by as much."""


class ClimateScale(Scale):
    """The numbers of one scale of the family."""

    data: DataSettings
    model: ModelSettings

    @property
    def prognostic(self) -> int:
        """Channels that are stepped on."""
        return len(prognostic_names(self.data.levels))

    @property
    def inputs(self) -> int:
        """Channels that the model is given."""
        return self.prognostic + len(FORCINGS)

    @property
    def outputs(self) -> int:
        """Channels that the model predicts."""
        return self.prognostic + len(DIAGNOSTICS)

    @pydantic.model_validator(mode="after")
    def _fits(self) -> ClimateScale:
        if self.model.degrees > self.data.nlat:
            raise ValueError(
                f"model.degrees {self.model.degrees} is more than {self.data.nlat} latitudes "
                "can resolve; lower it"
            )
        for name, count in (("validation", self.data.validation), ("test", self.data.test)):
            if count % self.batch_size:
                raise ValueError(
                    f"data.{name} {count} is not a whole number of batches; "
                    f"make it a multiple of {self.batch_size}"
                )
        return self


class ForecastScale(ClimateScale):
    """The numbers of one scale of `+rollout`."""

    forecasts: pydantic.PositiveInt
    """Free forecasts that an evaluation makes."""
    forecast_steps: pydantic.PositiveInt
    """Steps of six hours in each."""
