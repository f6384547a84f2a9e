"""The numbers of one scale, checked."""

from __future__ import annotations

import math

import pydantic

from scoring.ground.documents import Model
from workloads import images
from workloads.config import Scale
from workloads.homeostatic import data


class DataSettings(Model):
    """Which images, and how often their labels shift."""

    source: data.Source
    validation: pydantic.PositiveInt
    """How many held-out images an evaluation looks at; the others are the test set."""
    shift_period: pydantic.PositiveInt
    """Steps between shifts at rate 1."""
    rates: list[pydantic.NonNegativeFloat] = pydantic.Field(min_length=1)
    """How many times as often classes shift, season after season; one rate is for ever, 0 never."""
    season: pydantic.PositiveInt
    """Steps of a season, where there are several."""
    guard: pydantic.NonNegativeFloat = 0.15
    """How far above the accuracy on held-out images the judged one may lie."""

    @property
    def periods(self) -> list[int]:
        """Steps between shifts, season after season; 0 where there are none."""
        return [round(self.shift_period / rate) if rate else 0 for rate in self.rates]

    @property
    def season_steps(self) -> int:
        """Steps of a season; a single one is a shift period."""
        return self.season if len(self.rates) > 1 else self.periods[0] or self.shift_period

    @property
    def year(self) -> int:
        """Steps after which the seasons come round again."""
        return self.season_steps * len(self.rates)

    @pydantic.model_validator(mode="after")
    def _whole_periods(self) -> DataSettings:
        for rate, period in zip(self.rates, self.periods, strict=True):
            if rate and not math.isclose(period * rate, self.shift_period):
                raise ValueError(
                    f"shift_period {self.shift_period} over rate {rate:g} is not a whole number of "
                    "steps; choose another rate"
                )
            if period and self.season_steps % period:
                raise ValueError(
                    f"season {self.season} is not a whole number of shift periods; "
                    f"make it a multiple of {period}"
                )
        return self


class ModelSettings(Model):
    """The network between 784 pixels and 10 classes."""

    hidden: list[pydantic.PositiveInt]
    """Widths of the hidden layers."""


class HomeostaticScale(Scale):
    """The numbers of one scale of the family."""

    data: DataSettings
    model: ModelSettings

    @property
    def widths(self) -> list[int]:
        """Pixels, hidden widths, classes."""
        return [images.PIXELS, *self.model.hidden, data.CLASSES]

    @pydantic.model_validator(mode="after")
    def _whole_windows(self) -> HomeostaticScale:
        # Right after a shift accuracy is low and later it is high: an average over a piece of a
        # period would depend on where it was cut.
        for period in filter(None, self.data.periods):
            if self.evaluation_period % period:
                raise ValueError(
                    f"evaluation_period {self.evaluation_period} is not a whole number of shift "
                    f"periods; make it a multiple of {period}"
                )
        judged = self.evaluation_period * self.metric_window
        if judged % self.data.year:
            raise ValueError(
                f"evaluation_period {self.evaluation_period} times metric_window "
                f"{self.metric_window} is not a whole number of years; "
                f"make the product a multiple of {self.data.year}"
            )
        return self
