"""The general circulation model: jcm's SPEEDY atmosphere, six hours at a time."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import Any

import numpy as np

from workloads.climate.recipe import Recipe
from workloads.climate.slab import YEAR
from workloads.contract import Array

REFERENCE_CO2 = 420.0
"""ppmv, of the control."""
CO2_EXPONENT = 0.6
"""SPEEDY's absorption grows linearly with CO2 until it saturates. Given n ** 0.6 times the
control's, it is forced nearly as line-by-line models are by n times."""
BEGIN = datetime.date(2001, 1, 1)
QUARTER_DAY = 0.25
SURFACE_PRESSURE = 100_000.0
"""Pa: what jcm normalises surface pressure by."""


@dataclasses.dataclass(frozen=True)
class Weather:
    """The atmosphere at one moment, float32 from south to north."""

    prognostic: Array
    """All layers' wind, temperature and humidity, and surface pressure: (channels, nlat, nlon)."""
    surface_net_flux: Array
    toa_net_flux: Array
    precipitation: Array
    insolation: Array


@dataclasses.dataclass(frozen=True)
class Ground:
    """What is prescribed, by the day of the year where it changes: (YEAR, nlat, nlon)."""

    sea: Array
    land: Array
    ice: Array
    land_fraction: Array
    orography: Array


class Atmosphere:
    """A running model; the caller tells it the sea surface and the CO2 at every step."""

    def __init__(self, recipe: Recipe) -> None:
        import jcm
        from jcm.forcing import ForcingData
        from jcm.model import Model
        from jcm.physics.speedy.speedy_coords import get_speedy_coords
        from jcm.terrain import TerrainData

        coords = get_speedy_coords(layers=8, spectral_truncation=recipe.truncation)
        folder = Path(jcm.__file__).parent / "data/bc/t30/clim"
        terrain = TerrainData.from_file(str(folder / "terrain.nc"), coords=coords)
        forcing = ForcingData.from_file(
            str(folder / "forcing.nc"), coords=coords, align_mode="wrap_year"
        )
        self._forcing = forcing
        self._model = Model(
            coords=coords,
            terrain=terrain,
            time_step=recipe.time_step,
            start_time=BEGIN.isoformat(),
        )
        self._model.bootstrap_state()
        self._layers = list(recipe.layers)
        self.ground = Ground(
            sea=_north(forcing.sea_surface_temperature.values)[:YEAR],
            land=_north(forcing.stl_am.values)[:YEAR],
            ice=_north(forcing.sice_am.values)[:YEAR],
            land_fraction=_north(terrain.fmask),
            orography=_north(terrain.orog),
        )

    def step(self, sea: Array, co2: float) -> Weather:
        """Six hours on, over the sea surface temperature `sea` in K, at `co2` times the control."""
        forcing = self._forcing.copy(
            co2_vmr=np.array(REFERENCE_CO2 * co2**CO2_EXPONENT, np.float32),
            sea_surface_temperature=np.ascontiguousarray(sea.T, np.float32),
        )
        result = self._model.resume(
            forcing=forcing, save_interval=QUARTER_DAY, total_time=QUARTER_DAY
        )
        air, physics = result.dynamics, result.physics
        stacked = [
            _north(getattr(air, name)[0, self._layers])
            for name in ("u_wind", "v_wind", "temperature", "specific_humidity")
        ]
        pressure = _north(air.normalized_surface_pressure) * np.float32(SURFACE_PRESSURE)
        exchange = physics["surface_exchange"]
        sun, heat = physics["_shortwave_rad"], physics["_longwave_rad"]
        return Weather(
            prognostic=np.concatenate([*stacked, pressure]),
            surface_net_flux=_north(exchange.net_heat_flux)[0],
            toa_net_flux=_north(sun.ftop)[0] - _north(heat.ftop)[0],
            precipitation=_north(exchange.precipitation)[0],
            insolation=_north(sun.fsol)[0],
        )

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        from jcm.checkpoint import save_checkpoint

        save_checkpoint(self._model, str(path))

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint."""
        from jcm.checkpoint import load_checkpoint

        load_checkpoint(self._model, str(path))

    def versions(self) -> dict[str, str]:
        """Of the packages that its results depend on."""
        from importlib.metadata import version

        return {name: version(name) for name in ("jcm", "dinosaur", "jax", "numpy")}


def day_of_year(elapsed: int) -> int:
    """The row of daily tables, `elapsed` days after BEGIN; a leap day repeats the one before."""
    date: Any = BEGIN + datetime.timedelta(days=elapsed)
    return min(date.timetuple().tm_yday, YEAR) - 1


def _north(field: Any) -> Array:
    """jcm's (..., nlon, nlat) as (..., nlat, nlon); its latitudes go from south to north."""
    return np.ascontiguousarray(np.asarray(field, np.float32).swapaxes(-1, -2))
