"""ACE2-SOM's published layout, read from the user's data folder: NetCDF or zarr at one degree.

`$GRADATHLON_DATA/ace2-som/<n>xCO2/` holds the six-hourly states of one CO2 level, in NetCDF files
that follow each other by name or in zarr stores. Latitudes may go either way.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workloads.climate.archive import LEVELS, prognostic_names
from workloads.contract import Array
from workloads.errors import WorkloadError
from workloads.fetch import data_folder

SOURCE = "ACE2-SOM's six-hourly data (github.com/ai2cm/ace2-som-paper)"
HEAT_IN = ("DLWRFsfc", "DSWRFsfc")
HEAT_OUT = ("ULWRFsfc", "USWRFsfc", "LHTFLsfc", "SHTFLsfc")
TOP_IN, TOP_OUT = "DSWRFtoa", ("USWRFtoa", "ULWRFtoa")
RAIN, SURFACE, OROGRAPHY = "PRATEsfc", "surface_temperature", "HGTsfc"
DEPTH, CORRECTION = "prescribed_mixed_layer_depth", "prescribed_qflux"
FRACTIONS = ("land_fraction", "ocean_fraction")
BESIDE = (SURFACE, TOP_IN, CORRECTION)
"""What is kept of every state besides prognostic and diagnostic channels."""
BLOCK = 16
"""States read at a time: each read costs more than what it reads."""


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
        files[level] = sorted(_data_files(folder))
        if not files[level]:
            raise WorkloadError(f"{folder}: no *.nc or *.zarr files; put {SOURCE} there")
    try:
        import h5netcdf  # noqa: F401
        import xarray  # noqa: F401
        import zarr  # noqa: F401
    except ImportError as error:
        raise WorkloadError(
            f"ACE2-SOM needs the package {error.name}: pip install 'gradathlon[standard]'"
        ) from None
    return files


def _data_files(folder: Path) -> Iterator[Path]:
    """The NetCDF files and zarr stores in a folder; what is in a store is not looked through."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.suffix in (".nc", ".zarr"):
            yield path
        elif path.is_dir():
            yield from _data_files(path)


class Files:
    """One CO2 level's published files, read some states at a time."""

    def __init__(self, level: str, paths: Sequence[Path]) -> None:
        self.level = level
        self.paths = paths
        self._sets = [_open(path) for path in paths]
        times = np.concatenate([part["time"].values for part in self._sets])
        self.gaps = np.array([_seconds(a, b) for a, b in itertools.pairwise(times)])
        """Seconds from each state to the next."""
        first = self._sets[0]
        self._southward = first["lat"].values[0] > first["lat"].values[-1]
        layers = sum(str(name).startswith("air_temperature_") for name in first.variables)
        self.names = prognostic_names(layers)
        self._require()

    @property
    def states(self) -> int:
        """How many states the files hold."""
        return len(self.gaps) + 1

    def blocks(self) -> Iterator[Array]:
        """All states in order, BLOCK at most at a time, in their own units.

        Float32 (states, channels, nlat, nlon): `names`, the diagnostics, and BESIDE.
        """
        for path, part in zip(self.paths, self._sets, strict=True):
            for begin in range(0, part.sizes["time"], BLOCK):
                yield self._block(path, part, slice(begin, begin + BLOCK))

    def static(self, name: str) -> Array:
        """A variable at the first state, float32 from south to north."""
        return self._values(self.paths[0], self._sets[0], name, slice(0, 1))[0]

    def _block(self, path: Path, part: Any, which: slice) -> Array:
        def read(*names: str) -> Array:
            first, *rest = (self._values(path, part, name, which) for name in names)
            return sum(rest, first)

        sun = read(TOP_IN)
        fluxes = [read(*HEAT_IN) - read(*HEAT_OUT), sun - read(*TOP_OUT), read(RAIN)]
        beside = [read(SURFACE), sun, read(CORRECTION)]
        return np.stack([*(read(name) for name in self.names), *fluxes, *beside], axis=1)

    def _values(self, path: Path, part: Any, name: str, which: slice) -> Array:
        count = len(range(*which.indices(part.sizes["time"])))
        try:
            variable = part[name]
            if "time" in variable.dims:
                variable = variable.isel(time=which)
            values = np.asarray(variable.values, np.float32)
        except (OSError, ValueError, RuntimeError) as error:
            raise WorkloadError(
                f"{path}: {name} cannot be read ({_first_line(error)}); fetch it again"
            ) from None
        if not np.isfinite(values).all():
            raise WorkloadError(f"{path}: {name} holds values that are not numbers")
        turned = values[..., ::-1, :] if self._southward else values
        return np.broadcast_to(turned, (count, *turned.shape[-2:]))

    def _require(self) -> None:
        fluxes = (*HEAT_IN, *HEAT_OUT, TOP_IN, *TOP_OUT, RAIN)
        static = (SURFACE, OROGRAPHY, *FRACTIONS, DEPTH, CORRECTION)
        for path, part in zip(self.paths, self._sets, strict=True):
            for name in (*self.names, *fluxes, *static):
                if name not in part.variables:
                    raise WorkloadError(f"{path}: has no variable {name!r}; expected {SOURCE}")


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


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
