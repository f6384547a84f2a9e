"""ACE2-SOM's published layout, read from the user's data folder: NetCDF or zarr at one degree.

`$GRADATHLON_DATA/ace2-som/<n>xCO2/` holds the six-hourly states of one CO2 level, in NetCDF files
that follow each other by name or in zarr stores. Latitudes may go either way.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scoring.ground.cache import cache_folder
from workloads.climate.archive import (
    HELD_OUT,
    LEVELS,
    TRAINED,
    Archive,
    Kept,
    Pair,
    Run,
    Scales,
    prognostic_names,
)
from workloads.climate.harmonics import Grid
from workloads.climate.slab import STEP_SECONDS, STEPS_A_DAY, Slab, capacity_of
from workloads.contract import Array
from workloads.digest import data_digest
from workloads.errors import WorkloadError
from workloads.fetch import data_folder

SOURCE = "ACE2-SOM's six-hourly data (github.com/ai2cm/ace2-som-paper)"
HEAT_IN = ("DLWRFsfc", "DSWRFsfc")
HEAT_OUT = ("ULWRFsfc", "USWRFsfc", "LHTFLsfc", "SHTFLsfc")
TOP_IN, TOP_OUT = "DSWRFtoa", ("USWRFtoa", "ULWRFtoa")
RAIN, SURFACE, OROGRAPHY = "PRATEsfc", "surface_temperature", "HGTsfc"
DEPTH, CORRECTION = "prescribed_mixed_layer_depth", "prescribed_qflux"
FRACTIONS = ("land_fraction", "ocean_fraction")
VALIDATION_SHARE = 10
"""Of a training level's steps, the last one in so many validates."""
SCALE_STATES = 64
"""States that means and standard deviations are taken from, evenly spread."""
STRETCH_DAYS = 10
HALF = 0.5
"""A cell with less ocean than this keeps the surface temperature of the data."""


def find() -> dict[str, list[Path]]:
    """The files of every CO2 level, in the order of their names.

    Raises:
        WorkloadError: no folder, a level without files, or the extra `standard` not installed.
    """
    root = data_folder()
    if root is None:
        raise WorkloadError(
            f"ACE2-SOM: GRADATHLON_DATA is not set; put {SOURCE} into its folder "
            "ace2-som/{1x,2x,3x,4x}CO2"
        )
    files = {}
    for level in LEVELS:
        folder = root / "ace2-som" / f"{level}CO2"
        files[level] = sorted([*folder.rglob("*.nc"), *folder.rglob("*.zarr")])
        if not files[level]:
            raise WorkloadError(f"{folder}: no *.nc or *.zarr there; put {SOURCE} there")
    try:
        import h5netcdf  # noqa: F401
        import xarray  # noqa: F401
        import zarr  # noqa: F401
    except ImportError as error:
        raise WorkloadError(
            f"ACE2-SOM needs the package {error.name}: pip install 'gradathlon[standard]'"
        ) from None
    return files


class Files(Run):
    """One CO2 level, read state by state from its files."""

    scales: Scales
    """Set once they are known: what `prognostic` and `diagnostic` normalise by."""

    def __init__(self, level: str, paths: Sequence[Path]) -> None:
        self.level = level
        self.paths = paths
        self._sets = [_open(path) for path in paths]
        self._ends = np.cumsum([part.sizes["time"] for part in self._sets])
        times = np.concatenate([part["time"].values for part in self._sets])
        self.steps = np.array([_seconds(a, b) for a, b in itertools.pairwise(times)])
        self._southward = self._sets[0]["lat"].values[0] > self._sets[0]["lat"].values[-1]
        layers = sum(str(name).startswith("air_temperature_") for name in self._sets[0].variables)
        self.names = prognostic_names(layers)
        self._require()

    @property
    def pairs(self) -> list[Pair]:
        """The steps that are six hours long: not those across a gap."""
        return [(self.level, int(index)) for index in np.flatnonzero(self.steps == STEP_SECONDS)]

    def raw(self, name: str, index: int) -> Array:
        """A variable at state `index` in its own unit, float32 from south to north."""
        which = int(np.searchsorted(self._ends, index, side="right"))
        before = int(self._ends[which - 1]) if which else 0
        if which == len(self._sets):
            raise WorkloadError(f"{self.paths[-1]}: the run ends before a rollout of it does")
        try:
            variable = self._sets[which][name]
            if "time" in variable.dims:
                variable = variable.isel(time=index - before)
            values = np.asarray(variable.values, np.float32)
        except (OSError, ValueError, RuntimeError) as error:
            raise WorkloadError(
                f"{self.paths[which]}: {name} cannot be read ({_first_line(error)}); fetch it again"
            ) from None
        if not np.isfinite(values).all():
            raise WorkloadError(f"{self.paths[which]}: {name} holds values that are not numbers")
        return values[::-1].copy() if self._southward else values

    def digest(self) -> str:
        """Of the times of the states, and of the first and the last of them."""
        ends = (self.raw_prognostic(index) for index in (0, int(self._ends[-1]) - 1))
        return data_digest([self._ends, self.steps, *ends])

    def raw_prognostic(self, index: int) -> Array:
        """The prognostic channels in their own units."""
        return np.stack([self.raw(name, index) for name in self.names])

    def raw_diagnostic(self, index: int) -> Array:
        """Net downward heat at the surface and at the top, and precipitation."""
        read = {name: self.raw(name, index) for name in (*HEAT_IN, *HEAT_OUT, TOP_IN, *TOP_OUT)}
        surface = sum(read[name] for name in HEAT_IN) - sum(read[name] for name in HEAT_OUT)
        top = read[TOP_IN] - sum(read[name] for name in TOP_OUT)
        return np.stack([surface, top, self.raw(RAIN, index)])

    def prognostic(self, index: int) -> Array:
        """State `index`, normalised."""
        mean, std = self.scales.prognostic_mean, self.scales.prognostic_std
        return (self.raw_prognostic(index) - mean[:, None, None]) / std[:, None, None]

    def diagnostic(self, index: int) -> Array:
        """Fluxes at the time of state `index`, normalised."""
        mean, std = self.scales.diagnostic_mean, self.scales.diagnostic_std
        return (self.raw_diagnostic(index) - mean[:, None, None]) / std[:, None, None]

    def surface(self, index: int) -> Array:
        """Surface temperature in K at state `index`."""
        return self.raw(SURFACE, index)

    def insolation(self, index: int, ahead: int = 0) -> Array:
        """At the top of the atmosphere, W/m2."""
        return self.raw(TOP_IN, index + ahead)

    def beyond(self, index: int, ahead: int) -> tuple[Array, Array]:
        """The data's own surface temperature, and the Q-flux."""
        return self.raw(SURFACE, index + ahead), self.raw(CORRECTION, index + ahead)

    def within(self, index: int, steps: int) -> list[list[Kept]]:
        """One state a day, in stretches longer than weather lasts."""
        kept = [(index + ahead, ahead) for ahead in range(STEPS_A_DAY, steps + 1, STEPS_A_DAY)]
        return [kept[day : day + STRETCH_DAYS] for day in range(0, len(kept), STRETCH_DAYS)]

    def _require(self) -> None:
        fluxes = (*HEAT_IN, *HEAT_OUT, TOP_IN, *TOP_OUT, RAIN)
        static = (SURFACE, OROGRAPHY, *FRACTIONS, DEPTH, CORRECTION)
        for path, part in zip(self.paths, self._sets, strict=True):
            for name in (*self.names, *fluxes, *static):
                if name not in part.variables:
                    raise WorkloadError(f"{path}: has no variable {name!r}; expected {SOURCE}")


def read() -> Archive:
    """The archive of `$GRADATHLON_DATA/ace2-som`.

    Raises:
        WorkloadError: missing or damaged files, or ones of another layout.
    """
    runs = {level: Files(level, paths) for level, paths in find().items()}
    train: list[Pair] = []
    validation: list[Pair] = []
    for level in TRAINED:
        pairs = runs[level].pairs
        cut = len(pairs) - len(pairs) // VALIDATION_SHARE
        train += pairs[:cut]
        validation += pairs[cut:]
    control = runs["1x"]
    scales = _scales(runs, train)
    for run in runs.values():
        run.scales = scales
    held_out = runs[HELD_OUT].pairs
    begun = {level: pairs[0][1] for level in TRAINED if (pairs := _of(validation, level))}
    orography = control.raw(OROGRAPHY, 0)
    land, ocean = (control.raw(name, 0) for name in FRACTIONS)
    nlat, nlon = orography.shape
    return Archive(
        grid=Grid(nlat, nlon),
        scales=scales,
        runs=runs,
        train=train,
        validation=validation,
        test=held_out,
        starts=begun | {HELD_OUT: held_out[len(held_out) - len(held_out) // VALIDATION_SHARE][1]},
        orography=(orography - orography.mean()) / orography.std(),
        land_fraction=land,
        slab=Slab(
            share=np.where(ocean >= HALF, ocean, 0.0).astype(np.float32),
            capacity=capacity_of(np.maximum(control.raw(DEPTH, 0), 1.0)),
        ),
    )


def _of(pairs: Sequence[Pair], level: str) -> list[Pair]:
    return [pair for pair in pairs if pair[0] == level]


def _open(path: Path) -> Any:
    import xarray

    try:
        if path.suffix == ".zarr":
            opened = xarray.open_zarr(path, chunks=None, consolidated=False)
        else:
            opened = xarray.open_dataset(path, engine="h5netcdf")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise WorkloadError(
            f"{path}: cannot be opened ({_first_line(error)}); fetch it again"
        ) from None
    for name in ("time", "lat", "lon"):
        if name not in opened.sizes:
            raise WorkloadError(f"{path}: has no dimension {name!r}; expected {SOURCE}")
    return opened


def _seconds(first: np.datetime64, second: np.datetime64) -> float:
    """Between two times, as numpy or as calendar objects."""
    gap = second - first
    if isinstance(gap, np.timedelta64):
        return float(gap / np.timedelta64(1, "s"))
    return float(gap.total_seconds())


def _scales(runs: dict[str, Files], train: Sequence[Pair]) -> Scales:
    """Estimated from some training states, and kept in the cache: it means reading them all."""
    identity = json.dumps(
        [[str(p), os.stat(p).st_mtime_ns] for r in runs.values() for p in r.paths]
    )
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    path = cache_folder() / "climate" / f"ace2-som-scales-{key}.npz"
    tables: dict[str, Any] = _kept(path)
    if not tables:
        tables = _estimate(runs, train)
        scratch = path.with_suffix(f".{os.getpid()}.npz")
        with contextlib.suppress(OSError):  # a cache that cannot be written costs minutes, no more
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(scratch, **tables)
            scratch.replace(path)
    pairs = {name: tuple(map(float, tables.pop(name))) for name in ("insolation", "surface")}
    return Scales(**tables, **pairs)  # type: ignore[arg-type]


def _kept(path: Path) -> dict[str, Array]:
    """What was estimated before; nothing where that is missing or damaged."""
    damaged = OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile
    with contextlib.suppress(*damaged), path.open("rb") as file, np.load(file) as kept:
        return {name: kept[name] for name in kept.files}
    return {}


def _estimate(runs: dict[str, Files], train: Sequence[Pair]) -> dict[str, Any]:
    count = min(SCALE_STATES, len(train))
    chosen = [train[index * len(train) // count] for index in range(count)]
    states = np.stack([runs[level].raw_prognostic(index) for level, index in chosen])
    after = np.stack([runs[level].raw_prognostic(index + 1) for level, index in chosen])
    fluxes = np.stack([runs[level].raw_diagnostic(index) for level, index in chosen])
    sun = np.stack([runs[level].insolation(index) for level, index in chosen])
    warm = np.stack([runs[level].surface(index) for level, index in chosen])
    axes = (0, 2, 3)
    std = states.std(axes)
    return {
        "prognostic_mean": states.mean(axes),
        "prognostic_std": std,
        "diagnostic_mean": fluxes.mean(axes),
        "diagnostic_std": fluxes.std(axes),
        "change": (after - states).std(axes) / std,
        "insolation": np.array([sun.mean(), sun.std()]),
        "surface": np.array([warm.mean(), warm.std()]),
    }


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
