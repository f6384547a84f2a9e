"""What a climate archive holds, whichever model of the atmosphere made it.

Fields are float32 and (nlat, nlon), latitudes from south to north. Prognostic, diagnostic and
forcing channels come normalised: less their mean, over their standard deviation.
"""

from __future__ import annotations

import abc
import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from workloads.climate.harmonics import Grid
from workloads.climate.slab import Slab
from workloads.contract import Array
from workloads.digest import data_digest

LEVELS = ("1x", "2x", "3x", "4x")
"""CO2 relative to the control."""
TRAINED = ("1x", "2x", "4x")
HELD_OUT = "3x"
"""Never trained on: it is the test split."""
FORCINGS = ("insolation", "surface_temperature", "co2", "orography", "land_fraction")
DIAGNOSTICS = ("surface_net_flux", "toa_net_flux", "precipitation")
"""W/m2 downwards, W/m2 downwards, and kg/m2/s."""


KINDS = ("eastward_wind", "northward_wind", "air_temperature", "specific_total_water")


def prognostic_names(levels: int) -> tuple[str, ...]:
    """Wind, temperature and humidity level by level, from the top down, and surface pressure."""
    return (*(f"{kind}_{level}" for kind in KINDS for level in range(levels)), "PRESsfc")


def co2_channel(level: str) -> float:
    """The CO2 forcing channel: doublings over the control, less one."""
    return math.log2(float(level.removesuffix("x"))) - 1.0


Pair: TypeAlias = tuple[str, int]
"""CO2 level and index of a step's first state."""
Kept: TypeAlias = tuple[int, int]
"""Index of a state, and how many steps it lies after another."""


@dataclasses.dataclass(frozen=True)
class Scales:
    """Means and standard deviations over the training segments, float32 (channels,).

    `change` is the standard deviation of what six hours change in a prognostic channel, in units
    of its own standard deviation: the unit in which changes are predicted, so that every channel
    of a target has a variance of 1.
    """

    prognostic_mean: Array
    prognostic_std: Array
    diagnostic_mean: Array
    diagnostic_std: Array
    change: Array
    insolation: tuple[float, float]
    surface: tuple[float, float]
    """Of the surface temperature: mean and standard deviation, as of the insolation."""

    def diagnostic(self, channel: int, normalised: Array) -> Array:
        """A diagnostic channel in its physical unit."""
        return normalised * self.diagnostic_std[channel] + self.diagnostic_mean[channel]

    def physical(self, fields: Array) -> Array:
        """Prognostic and diagnostic channels, one after the other, in their own units."""
        mean = np.concatenate([self.prognostic_mean, self.diagnostic_mean])
        std = np.concatenate([self.prognostic_std, self.diagnostic_std])
        return np.asarray(fields * std[:, None, None] + mean[:, None, None])


class Run(abc.ABC):
    """The states of one CO2 level, six hours apart, in pieces."""

    level: str

    @abc.abstractmethod
    def prognostic(self, index: int) -> Array:
        """State `index`, normalised: float32 (channels, nlat, nlon)."""

    @abc.abstractmethod
    def diagnostic(self, index: int) -> Array:
        """Fluxes at the time of state `index`, normalised."""

    @abc.abstractmethod
    def surface(self, index: int) -> Array:
        """Surface temperature in K while the atmosphere steps on from state `index`."""

    @abc.abstractmethod
    def insolation(self, index: int, ahead: int = 0) -> Array:
        """At the top of the atmosphere, W/m2, `ahead` steps after state `index`."""

    @abc.abstractmethod
    def beyond(self, index: int, ahead: int) -> tuple[Array, Array]:
        """`ahead` steps after state `index`: the surface outside the slab in K, and the Q-flux."""

    @abc.abstractmethod
    def digest(self) -> str:
        """Of all that the run holds, or of where it is read from."""

    @abc.abstractmethod
    def within(self, index: int, steps: int) -> list[list[Kept]]:
        """The states kept of the `steps` steps after state `index`, in stretches of some days."""

    def fields_at(self, index: int) -> Array:
        """State `index` and the fluxes at its time, normalised."""
        return np.concatenate([self.prognostic(index), self.diagnostic(index)])


@dataclasses.dataclass(frozen=True)
class Archive:
    """Runs, and which of their steps are for what."""

    grid: Grid
    scales: Scales
    runs: Mapping[str, Run]
    train: Sequence[Pair]
    validation: Sequence[Pair]
    test: Sequence[Pair]
    """Steps of the held-out level."""
    starts: Mapping[str, int]
    """The states, unseen in training, that rollouts of each CO2 level begin with."""
    orography: Array
    """Normalised."""
    land_fraction: Array
    slab: Slab

    def digest(self) -> str:
        """Of every run and of the scales."""
        runs = "".join(f"{level} {run.digest()};" for level, run in sorted(self.runs.items()))
        scales = [np.asarray(value) for value in dataclasses.astuple(self.scales)]
        return hashlib.sha256((runs + data_digest(scales)).encode()).hexdigest()

    def sea_mean(self, sea: Array) -> float:
        """The mean of the slab's temperature, over the slab."""
        share = self.slab.share
        return float(self.grid.mean(share * sea) / self.grid.mean(share))

    def forcing(self, level: str, surface: Array, insolation: Array) -> Array:
        """The five forcing channels, normalised: float32 (5, nlat, nlon)."""
        (sun_mean, sun_std), (mean, std) = self.scales.insolation, self.scales.surface
        co2 = np.full_like(self.orography, co2_channel(level))
        sun = (insolation - sun_mean) / sun_std
        warm = (surface - mean) / std
        fields = np.broadcast_arrays(sun, warm, co2, self.orography, self.land_fraction)
        return np.stack(fields).astype(np.float32)

    def example(self, level: str, index: int) -> tuple[Array, Array, Array]:
        """State, forcing and target of the step from state `index` of a run to the next."""
        run = self.runs[level]
        state = run.prognostic(index)
        change = (run.prognostic(index + 1) - state) / self.scales.change[:, None, None]
        forcing = self.forcing(level, run.surface(index), run.insolation(index, ahead=1))
        return state, forcing, np.concatenate([change, run.diagnostic(index + 1)])

    def batch(self, pairs: Sequence[Pair]) -> dict[str, Array]:
        """Some examples, as the models take them."""
        columns = zip(*(self.example(*pair) for pair in pairs), strict=True)
        return {
            name: np.stack(column)
            for name, column in zip(("state", "forcing", "target"), columns, strict=True)
        }
