"""ACE2-SOM's data as memory-mapped float32, made once from the published files.

Reading four examples out of NetCDF takes a second of one core, which is more than a training step;
out of the map it takes milliseconds. The map lies in the cache and is as large as the states are.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scoring.ground.cache import cache_folder
from workloads import seals
from workloads.climate import ace2
from workloads.climate.archive import (
    DIAGNOSTICS,
    HELD_OUT,
    LEVELS,
    TRAINED,
    Archive,
    Kept,
    Pair,
    Run,
    Scales,
)
from workloads.climate.harmonics import Grid
from workloads.climate.slab import STEP_SECONDS, STEPS_A_DAY, Slab, capacity_of
from workloads.contract import Array
from workloads.digest import data_digest
from workloads.errors import WorkloadError

VALIDATION_SHARE = 10
"""Of a training level's steps, the last one in so many validates."""
SCALE_STATES = 64
"""States that means and standard deviations are taken from, evenly spread."""
STRETCH_DAYS = 10
HALF = 0.5
"""A cell with less ocean than this keeps the surface temperature of the data."""
TABLES = "tables.npz"
FORMAT = 1


def convert() -> Path:
    """The folder of the map of `$GRADATHLON_DATA/ace2-som`, made unless it is here.

    Raises:
        WorkloadError: missing or damaged files, ones of another layout, or too little room.
    """
    paths = ace2.find()
    folder = _place(paths)
    if folder.exists():
        return folder
    files = {level: ace2.Files(level, paths[level]) for level in LEVELS}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _refuse_a_full_disk(folder.parent, files)
        scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}."))
    except OSError as error:
        raise _unwritable(folder.parent, error) from None
    try:
        _write(scratch, files)
        seals.seal(scratch)
        if not folder.exists():  # another process may have been faster
            scratch.rename(folder)
    except OSError as error:
        raise _unwritable(folder.parent, error) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _place(paths: Mapping[str, Sequence[Path]]) -> Path:
    """Where the map of these files lies: other files, or changed ones, have another."""
    stats = [[str(path), os.stat(path).st_mtime_ns] for level in LEVELS for path in paths[level]]
    key = hashlib.sha256(json.dumps([FORMAT, stats]).encode()).hexdigest()[:16]
    return cache_folder() / "climate" / f"ace2-som-{key}"


def _unwritable(folder: Path, error: OSError) -> WorkloadError:
    return WorkloadError(
        f"{folder}: cannot write ACE2-SOM's map: {error.strerror}; "
        "set GRADATHLON_CACHE to a folder with enough space"
    )


def _shape(files: ace2.Files) -> tuple[int, ...]:
    channels = len(files.names) + len(DIAGNOSTICS) + len(ace2.BESIDE)
    return (files.states, channels, *files.static(ace2.OROGRAPHY).shape)


def _refuse_a_full_disk(folder: Path, files: Mapping[str, ace2.Files]) -> None:
    needed = 4 * sum(int(np.prod(_shape(run))) for run in files.values())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise WorkloadError(
            f"{folder}: ACE2-SOM's map needs {needed / 1e9:,.0f} GB, {free / 1e9:,.0f} GB are free"
            "; set GRADATHLON_CACHE to a folder with enough space"
        )


def _write(folder: Path, files: Mapping[str, ace2.Files]) -> None:
    control = files["1x"]
    tables: dict[str, Any] = {f"gaps_{level}": run.gaps for level, run in files.items()}
    for name in (ace2.OROGRAPHY, *ace2.FRACTIONS, ace2.DEPTH):
        tables[name] = control.static(name)
    for level, run in files.items():
        shape = _shape(run)
        fields = np.lib.format.open_memmap(folder / f"{level}.npy", "w+", np.float32, shape)
        begin = 0
        for block in run.blocks():
            fields[begin : begin + len(block)] = block
            begin += len(block)
        fields.flush()
    np.savez(folder / TABLES, **tables)


class Mapped(Run):
    """One CO2 level of the map: (states, channels, nlat, nlon) in the channels' own units."""

    scales: Scales
    """Set once they are known: what `prognostic` and `diagnostic` normalise by."""

    def __init__(self, level: str, fields: Array, gaps: Array) -> None:
        self.level = level
        self.fields = fields
        self.gaps = gaps
        self._prognostic = fields.shape[1] - len(DIAGNOSTICS) - len(ace2.BESIDE)

    @property
    def pairs(self) -> list[Pair]:
        """The steps that are six hours long: not those across a gap."""
        return [(self.level, int(index)) for index in np.flatnonzero(self.gaps == STEP_SECONDS)]

    def raw(self, index: int) -> Array:
        """Prognostic and diagnostic channels in their own units."""
        return self.fields[index, : self._prognostic + len(DIAGNOSTICS)]

    def prognostic(self, index: int) -> Array:
        """State `index`, normalised."""
        mean, std = self.scales.prognostic_mean, self.scales.prognostic_std
        raw = self.fields[index, : self._prognostic]
        return np.asarray((raw - mean[:, None, None]) / std[:, None, None])

    def diagnostic(self, index: int) -> Array:
        """Fluxes at the time of state `index`, normalised."""
        mean, std = self.scales.diagnostic_mean, self.scales.diagnostic_std
        raw = self.raw(index)[self._prognostic :]
        return np.asarray((raw - mean[:, None, None]) / std[:, None, None])

    def surface(self, index: int) -> Array:
        """Surface temperature in K at state `index`."""
        return self._beside(ace2.SURFACE, index)

    def insolation(self, index: int, ahead: int = 0) -> Array:
        """At the top of the atmosphere, W/m2."""
        return self._beside(ace2.TOP_IN, index + ahead)

    def beyond(self, index: int, ahead: int) -> tuple[Array, Array]:
        """The data's own surface temperature, and the Q-flux."""
        return self.surface(index + ahead), self._beside(ace2.CORRECTION, index + ahead)

    def within(self, index: int, steps: int) -> list[list[Kept]]:
        """One state a day, in stretches longer than weather lasts."""
        kept = [(index + ahead, ahead) for ahead in range(STEPS_A_DAY, steps + 1, STEPS_A_DAY)]
        return [kept[day : day + STRETCH_DAYS] for day in range(0, len(kept), STRETCH_DAYS)]

    def digest(self) -> str:
        """Of the states, and of the times between them."""
        return data_digest([self.fields, self.gaps])

    def _beside(self, name: str, index: int) -> Array:
        if index >= len(self.fields):
            raise WorkloadError(f"ACE2-SOM at {self.level}: the run is shorter than a rollout")
        return np.array(self.fields[index, ace2.BESIDE.index(name) - len(ace2.BESIDE)])


def read() -> Archive:
    """The archive of `$GRADATHLON_DATA/ace2-som`, memory-mapped.

    Raises:
        WorkloadError: missing or damaged files, or ones of another layout.
    """
    folder = convert()
    try:
        reason = seals.damage(folder)
        if reason:
            raise ValueError(reason)
        with (folder / TABLES).open("rb") as file, np.load(file) as archive:
            tables = {name: archive[name] for name in archive.files}
        runs = {
            level: Mapped(
                level, np.load(folder / f"{level}.npy", mmap_mode="r"), tables[f"gaps_{level}"]
            )
            for level in LEVELS
        }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise WorkloadError(
            f"{folder}: damaged ({' '.join(str(error).split())}); delete the folder; it will be "
            "rebuilt"
        ) from None
    return _archive(runs, tables)


def _archive(runs: Mapping[str, Mapped], tables: Mapping[str, Array]) -> Archive:
    train: list[Pair] = []
    validation: list[Pair] = []
    starts = {}
    for level in TRAINED:
        pairs = runs[level].pairs
        cut = len(pairs) - len(pairs) // VALIDATION_SHARE
        train += pairs[:cut]
        validation += pairs[cut:]
        if pairs[cut:]:
            starts[level] = pairs[cut][1]
    scales = _scales(runs, train)
    for run in runs.values():
        run.scales = scales
    held_out = runs[HELD_OUT].pairs
    starts[HELD_OUT] = held_out[len(held_out) - len(held_out) // VALIDATION_SHARE][1]
    orography = tables[ace2.OROGRAPHY]
    land, ocean = (tables[name] for name in ace2.FRACTIONS)
    return Archive(
        grid=Grid(*orography.shape),
        scales=scales,
        runs=runs,
        train=train,
        validation=validation,
        test=held_out,
        starts=starts,
        orography=(orography - orography.mean()) / orography.std(),
        land_fraction=land,
        slab=Slab(
            share=np.where(ocean >= HALF, ocean, 0.0).astype(np.float32),
            capacity=capacity_of(np.maximum(tables[ace2.DEPTH], 1.0)),
        ),
    )


def _scales(runs: Mapping[str, Mapped], train: Sequence[Pair]) -> Scales:
    """Estimated from some training states."""
    count = min(SCALE_STATES, len(train))
    chosen = [train[index * len(train) // count] for index in range(count)]
    states = np.stack([runs[level].raw(index) for level, index in chosen])
    after = np.stack([runs[level].raw(index + 1) for level, index in chosen])
    sun = np.stack([runs[level].insolation(index) for level, index in chosen])
    warm = np.stack([runs[level].surface(index) for level, index in chosen])
    axes, prognostic = (0, 2, 3), states.shape[1] - len(DIAGNOSTICS)
    mean, std = states.mean(axes), states.std(axes)
    return Scales(
        prognostic_mean=mean[:prognostic],
        prognostic_std=std[:prognostic],
        diagnostic_mean=mean[prognostic:],
        diagnostic_std=std[prognostic:],
        change=((after - states).std(axes) / std)[:prognostic],
        insolation=(float(sun.mean()), float(sun.std())),
        surface=(float(warm.mean()), float(warm.std())),
    )
