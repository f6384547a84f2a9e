"""The archive that a general circulation model over a slab ocean makes on this machine, once."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from scoring.ground.words import Facts
from workloads import seals
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
    prognostic_names,
)
from workloads.climate.recipe import MODEL, Recipe
from workloads.climate.settings import ClimateScale
from workloads.climate.slab import STEPS_A_DAY, YEAR, Slab
from workloads.contract import Array
from workloads.digest import data_digest
from workloads.errors import WorkloadError

VALIDATION_EVERY, VALIDATION_FIRST = 11, 5
"""Of a run's segments, every so many validates, from this one on."""
KNOWN = {
    "slab-short": {
        ("1x", "air_temperature_3"): (284.5, 0.5),
        ("1x", "air_temperature_0"): (208.1, 1.0),
        ("1x", "eastward_wind_1"): (11.8, 1.0),
        ("1x", "surface_temperature"): (288.1, 0.4),
        ("4x", "air_temperature_0"): (201.9, 1.0),
        ("4x", "surface_temperature"): (289.6, 0.4),
    }
}
"""Global means over the kept states and by how much a generation may miss them: the weather
differs between processors, the climate does not."""
FACTS = "facts.json"
TABLES = "tables.npz"


def fetch(recipe: Recipe) -> None:
    """Generate the archive in a process of its own, unless it is here.

    Cut off, it goes on from its last checkpoint when called again. Another process that wants the
    same archive waits for it.

    Raises:
        WorkloadError: the general circulation model is not installed, or failed; or the archive is
            damaged.
    """
    if recipe.path.exists():
        _refuse_damage(recipe)
        return
    if importlib.util.find_spec("jcm") is None:
        raise WorkloadError(
            f"{recipe.path}: missing, and generating it needs the package {MODEL}: "
            "pip install 'gradathlon[climate]'"
        )
    with _lock(recipe):
        if not recipe.path.exists():
            _generate(recipe)


def _generate(recipe: Recipe) -> None:
    import workloads

    house = str(Path(workloads.__file__).parents[1])
    path = os.pathsep.join(filter(None, (house, os.environ.get("PYTHONPATH"))))
    # A process of its own: the model wants JAX on the CPU, warns at length of what its packages
    # will change, and leaves a gigabyte behind.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "workloads.climate", recipe.name],
        env=os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.DEVNULL,
    )
    if done.returncode or not recipe.path.exists():
        raise WorkloadError(
            f"{recipe.name}: generation failed with exit code {done.returncode} (see above); fetch "
            "again to continue from its last checkpoint"
        )


@contextlib.contextmanager
def _lock(recipe: Recipe) -> Iterator[None]:
    """Held by the one process that generates an archive."""
    path = recipe.path.with_suffix(".lock")
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fcntl.flock(stack.enter_context(path.open("w")), fcntl.LOCK_EX)
        except OSError as error:
            raise WorkloadError(
                f"{path.parent}: cannot write the climate archive: {error.strerror}; set "
                "GRADATHLON_CACHE to a writable folder"
            ) from None
        yield


def validates(segment: int) -> bool:
    """Whether a run's segment of that number is held out to validate."""
    return segment % VALIDATION_EVERY == VALIDATION_FIRST


class Segments(Run):
    """A run kept in float16, in segments of consecutive states.

    `fields` is (states, channels, nlat, nlon): prognostic channels, diagnostic ones and the
    surface temperature, all normalised; `steps` (states,) counts quarter days from the run's
    first kept state.
    """

    def __init__(self, level: str, fields: Array, steps: Array, archive: Tables) -> None:
        self.level = level
        self.fields = fields
        self.steps = steps
        self._tables = archive
        self._prognostic = fields.shape[1] - len(DIAGNOSTICS) - 1

    def prognostic(self, index: int) -> Array:
        """State `index`, normalised."""
        return self.fields[index, : self._prognostic].astype(np.float32)

    def diagnostic(self, index: int) -> Array:
        """Fluxes at the time of state `index`, normalised."""
        return self.fields[index, self._prognostic : -1].astype(np.float32)

    def surface(self, index: int) -> Array:
        """Surface temperature in K while the atmosphere steps on from state `index`."""
        mean, std = self._tables.surface
        return self.fields[index, -1].astype(np.float32) * np.float32(std) + np.float32(mean)

    def insolation(self, index: int, ahead: int = 0) -> Array:
        """At the top of the atmosphere, W/m2."""
        return self._tables.insolation[self._day(index, ahead)][:, None]

    def beyond(self, index: int, ahead: int) -> tuple[Array, Array]:
        """Prescribed surface in K, and the Q-flux in W/m2, by the day of the year."""
        day = self._day(index, ahead)
        return self._tables.rest[day], self._tables.correction[day]

    def digest(self) -> str:
        """Of the states, and of when they are."""
        return data_digest([self.fields, self.steps])

    def within(self, index: int, steps: int) -> list[list[Kept]]:
        """The states kept of the `steps` steps after state `index`, segment by segment."""
        since = self.steps - self.steps[index]
        kept = np.flatnonzero((since > 0) & (since <= steps))
        cuts = np.flatnonzero(np.diff(since[kept]) > 1) + 1
        return [[(int(i), int(since[i])) for i in part] for part in np.split(kept, cuts)]

    def pairs(self, segment_length: int) -> list[list[Pair]]:
        """The steps of each segment."""
        starts = range(0, len(self.fields), segment_length)
        return [
            [(self.level, first + offset) for offset in range(segment_length - 1)]
            for first in starts
        ]

    def _day(self, index: int, ahead: int) -> int:
        day = self._tables.first_day + (int(self.steps[index]) + ahead) // STEPS_A_DAY
        return day % YEAR


class Tables:
    """What `tables.npz` holds besides scales: everything that goes by the day of the year."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.insolation: Array = arrays["insolation"]
        self.rest: Array = arrays["rest"]
        self.correction: Array = arrays["correction"]
        self.surface: tuple[float, float] = _two(arrays["surface_scale"])
        self.first_day = int(arrays["first_day"])


def read(recipe: Recipe) -> Archive:
    """The archive of a recipe, memory-mapped.

    Raises:
        WorkloadError: damaged, or cut short.
    """
    folder = recipe.path
    _refuse_damage(recipe)
    try:
        with (folder / TABLES).open("rb") as file, np.load(file) as archive:
            arrays = {name: archive[name] for name in archive.files}
        facts = json.loads((folder / FACTS).read_text())
        tables = Tables(arrays)
        runs = {
            level: Segments(
                level,
                np.load(folder / f"{level}.npy", mmap_mode="r"),
                arrays[f"steps_{level}"],
                tables,
            )
            for level in LEVELS
        }
        _check(recipe, runs, facts)
        whole = _archive(recipe, runs, arrays)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(recipe, " ".join(str(error).split())) from None
    seals.seal(folder)  # one that an earlier version made is taken as it is found
    return whole


def _refuse_damage(recipe: Recipe) -> None:
    try:
        reason = seals.damage(recipe.path)
    except OSError as error:
        reason = f"{error.strerror}"
    if reason:
        raise _damaged(recipe, reason)


def _damaged(recipe: Recipe, reason: str) -> WorkloadError:
    return WorkloadError(
        f"{recipe.path}: damaged ({reason}); delete the folder, then run "
        f"`gradathlon data fetch{_whose(recipe)}`"
    )


def _whose(recipe: Recipe) -> str:
    """The first workload of the family that trains on the recipe's archive, after a space."""
    import workloads

    for id in workloads.family("climate").ids():
        settings = workloads.get(id).settings
        if isinstance(settings, ClimateScale) and settings.data.source == recipe.name:
            return f" {id}"
    return ""


def check_climate(recipe: str, climate: Mapping[str, Mapping[str, float]]) -> None:
    """Compare the global means of each CO2 level with those that this release knows.

    Raises:
        ValueError: one is too far off.
    """
    for (level, name), (expected, tolerance) in KNOWN.get(recipe, {}).items():
        value = climate[level][name]
        if not abs(value - expected) <= tolerance:
            raise ValueError(
                f"{recipe}: the mean {name} at {level} CO2 is {value:.4g}, not within "
                f"{tolerance:g} of {expected:g}: this climate differs from the release's"
            )


def _check(recipe: Recipe, runs: Mapping[str, Segments], facts: Facts) -> None:
    channels = len(prognostic_names(len(recipe.layers))) + len(DIAGNOSTICS) + 1
    for level, run in runs.items():
        states = facts["states"][level]
        expected = (states, channels, recipe.grid.nlat, recipe.grid.nlon)
        if run.fields.shape != expected or len(run.steps) != states:
            raise ValueError(f"{level}.npy is {run.fields.shape}, expected {expected}")


def _archive(recipe: Recipe, runs: Mapping[str, Segments], arrays: Mapping[str, Array]) -> Archive:
    train: list[Pair] = []
    validation: list[Pair] = []
    length = recipe.segment_steps + 1
    for level in TRAINED:
        for number, pairs in enumerate(runs[level].pairs(length)):
            (validation if validates(number) else train).extend(pairs)
    return Archive(
        grid=recipe.grid,
        scales=Scales(
            prognostic_mean=arrays["prognostic_mean"],
            prognostic_std=arrays["prognostic_std"],
            diagnostic_mean=arrays["diagnostic_mean"],
            diagnostic_std=arrays["diagnostic_std"],
            change=arrays["change"],
            insolation=_two(arrays["insolation_scale"]),
            surface=_two(arrays["surface_scale"]),
        ),
        runs=runs,
        train=train,
        validation=validation,
        test=[pair for pairs in runs[HELD_OUT].pairs(length) for pair in pairs],
        starts=dict.fromkeys(LEVELS, VALIDATION_FIRST * length),
        orography=arrays["orography"],
        land_fraction=arrays["land_fraction"],
        slab=Slab(arrays["share"], arrays["capacity"]),
    )


def _two(values: Array) -> tuple[float, float]:
    first, second = values
    return float(first), float(second)
