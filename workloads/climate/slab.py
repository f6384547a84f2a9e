"""The slab ocean: a well-mixed layer of water that keeps what heat the atmosphere gives it."""

from __future__ import annotations

import dataclasses

import numpy as np

from workloads.contract import Array

WATER_DENSITY = 1000.0
"""kg / m3."""
WATER_HEAT = 4000.0
"""J / kg / K, as in ACE2-SOM."""
STEP_SECONDS = 21_600.0
"""The time between two states: six hours."""
STEPS_A_DAY = 4
YEAR = 365
"""Days."""


@dataclasses.dataclass(frozen=True)
class Slab:
    """rho c h dT/dt = F + Q, where there is an ocean without ice.

    All fields are (nlat, nlon). `share` is the part of a cell that the slab covers: 0 on land and
    where the sea surface is prescribed.
    """

    share: Array
    capacity: Array
    """rho c h in J / m2 / K."""

    def step(self, temperature: Array, flux: Array, correction: Array) -> Array:
        """The slab's temperature in K six hours later, (..., nlat, nlon).

        `flux` is the net downward heat flux at the surface in W / m2, and `correction` the
        Q-flux: the heat that currents would bring.
        """
        warming = STEP_SECONDS / self.capacity * (flux + correction)
        return np.where(self.share > 0, temperature + warming, temperature)

    def surface(self, temperature: Array, rest: Array) -> Array:
        """The cell's surface temperature; `rest` is that of what the slab does not cover."""
        return self.share * temperature + (1 - self.share) * rest

    def beneath(self, surface: Array, rest: Array) -> Array:
        """The slab's temperature under a cell's surface temperature; `surface` where there is none.

        What `surface` undoes.
        """
        covered = np.where(self.share > 0, self.share, 1.0)
        return np.where(self.share > 0, (surface - (1 - self.share) * rest) / covered, surface)


def capacity_of(depth: Array | float) -> Array:
    """rho c h in J / m2 / K of a mixed layer of `depth` metres."""
    return np.asarray(WATER_DENSITY * WATER_HEAT * np.asarray(depth, np.float64))


def annual_cycle(days: Array, values: Array, overtones: int = 2) -> Array:
    """Daily values (YEAR, ...) of a yearly mean and its first harmonics fitted to samples.

    `days` (n,) say when in the year, and `values` (n, ...) what.
    """
    shape = values.shape[1:]
    fit, *_ = np.linalg.lstsq(_waves(days, overtones), values.reshape(len(days), -1), rcond=None)
    return (_waves(np.arange(YEAR) + 0.5, overtones) @ fit).reshape(YEAR, *shape)


def _waves(days: Array, overtones: int) -> Array:
    phase = 2 * np.pi * np.asarray(days, np.float64)[:, None] / YEAR
    turns = phase * np.arange(1, overtones + 1)
    return np.concatenate([np.ones_like(phase), np.cos(turns), np.sin(turns)], axis=1)
