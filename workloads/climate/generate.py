"""Generates an archive: `python -m workloads.climate slab-short`.

1. `fixed`: the atmosphere over the observed, yearly sea surface. Its surface fluxes, averaged by
   the day of the year, give the first Q-flux.
2. `nudged0` ...: over the slab ocean, drawn to the observed sea surface within a month. The fluxes
   of each give the next Q-flux: the slab then stays where it is observed, on its own.
3. `1x`, `2x`, `4x`, `3x`: free over the slab ocean, each begun from the last nudged run, the
   warmer ones from a warmer sea. After the spin-up, their states are kept.
4. `fixed-1x` ...: over the observed sea surface again, for the radiative forcing.

Everything a stage did is a checkpoint in the cache, so that a run that was cut off goes on there.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from workloads.climate.archive import HELD_OUT, LEVELS, TRAINED
from workloads.climate.gcm import Weather, day_of_year
from workloads.climate.recipe import Recipe
from workloads.climate.slab import STEPS_A_DAY, YEAR, Slab, annual_cycle, capacity_of
from workloads.contract import Array

SETTLE_DAYS = 30
"""Cut off the beginning of the fixed and the nudged runs."""
FORCING_DAYS = 80
NUDGING_DAYS = 30.0
CHECKPOINT_DAYS = 30
DAY_SECONDS = 86_400.0
ICE_FREE = 0.05
HALF = 0.5
"""The slab covers cells with no more land than this, and never as much ice as ICE_FREE."""
WARM_START = {"1x": 0.0, "2x": 1.8, "3x": 2.6, "4x": 2.9}
"""K, uniformly: near enough to where each level ends for a short spin-up."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """One run: how the sea surface goes, at which CO2 level, and from where."""

    name: str
    sea: str
    """"fixed", "nudged" or "free"."""
    level: str
    days: int
    begin: str | None
    flux_from: str | None = None
    keep_from: int | None = None
    """The day from which states are kept."""


def stages(recipe: Recipe) -> list[Stage]:
    """All runs of a recipe, in order."""
    year = SETTLE_DAYS + YEAR
    ordered = [Stage("fixed", "fixed", "1x", year, None)]
    for number in range(recipe.nudged_years):
        last = ordered[-1].name
        ordered.append(Stage(f"nudged{number}", "nudged", "1x", year, last, last))
    spun_up, length = ordered[-1].name, recipe.spin_up_days + recipe.kept_days
    for level in (*TRAINED, HELD_OUT):
        ordered.append(Stage(level, "free", level, length, spun_up, spun_up, recipe.spin_up_days))
    for level in LEVELS:
        ordered.append(Stage(f"fixed-{level}", "fixed", level, FORCING_DAYS, "fixed"))
    return ordered


class Course:
    """What a stage has seen so far: everything that a checkpoint holds besides the atmosphere."""

    def __init__(self, arrays: dict[str, Array] | None = None) -> None:
        stored = arrays or {}
        self.day = int(stored.get("day", 0))
        self.elapsed = int(stored.get("elapsed", 0))
        """Days since the beginning of the first stage."""
        self.sea: Array | None = stored.get("sea")
        self.weather: Array | None = stored.get("weather")
        """The last state and its fluxes."""
        self.series = {
            name: list(stored.get(name, ()))
            for name in ("days", "flux", "sun", "toa", "warmth", "states", "steps")
        }

    def arrays(self) -> dict[str, Any]:
        """For `numpy.savez`."""
        series = {name: np.array(values) for name, values in self.series.items()}
        assert self.sea is not None
        assert self.weather is not None
        return series | {
            "day": np.array(self.day),
            "elapsed": np.array(self.elapsed),
            "sea": self.sea,
            "weather": self.weather,
        }


class Generation:
    """The stages of a recipe and their checkpoints."""

    def __init__(self, recipe: Recipe, atmosphere: Any, report: Any) -> None:
        self.recipe = recipe
        self.work = recipe.path.with_suffix(".work")
        self.work.mkdir(parents=True, exist_ok=True)
        self._atmosphere = atmosphere
        self._report = report
        self.versions = atmosphere.versions()
        self.last_nudged = f"nudged{recipe.nudged_years - 1}"
        self.ground = ground = atmosphere.ground
        free = (ground.land_fraction <= HALF) & (ground.ice.max(0) < ICE_FREE)
        share = np.where(free, 1 - ground.land_fraction, 0.0).astype(np.float32)
        self.slab = Slab(share, np.broadcast_to(capacity_of(recipe.depth), share.shape))
        prescribed = ground.land_fraction * ground.land + (1 - ground.land_fraction) * ground.sea
        self.rest = np.where(free, ground.land, prescribed).astype(np.float32)

    def run(self) -> None:
        """Every stage that is not done."""
        for stage in stages(self.recipe):
            if not self._done(stage.name).exists():
                self._run(stage)
            self._report(stage.name, stage.days)

    def course(self, name: str) -> Course:
        """What a finished stage saw."""
        return _read(self._done(name))

    def correction(self, name: str) -> Array:
        """The Q-flux (YEAR, nlat, nlon) that a stage's fluxes ask for."""
        course = self.course(name)
        days, flux = (np.array(course.series[key])[SETTLE_DAYS:] for key in ("days", "flux"))
        sea = self.ground.sea.astype(np.float64)
        storage = self.slab.capacity * (np.roll(sea, -1, axis=0) - sea) / DAY_SECONDS
        return (storage - annual_cycle(days + 0.5, flux)).astype(np.float32)

    def _done(self, name: str) -> Path:
        return self.work / f"{name}.done"

    def _run(self, stage: Stage) -> None:
        course = self._resume(stage)
        correction = self.correction(stage.flux_from) if stage.flux_from else None
        while course.day < stage.days:
            self._day(stage, course, correction)
            self._report(stage.name, course.day)
            if course.day % CHECKPOINT_DAYS == 0 and course.day < stage.days:
                self._save(course, self.work / f"{stage.name}.part")
        self._save(course, self._done(stage.name))
        shutil.rmtree(self.work / f"{stage.name}.part", ignore_errors=True)

    def _day(self, stage: Stage, course: Course, correction: Array | None) -> None:
        today = day_of_year(course.elapsed)
        climate = self.ground.sea[today]
        sea = climate if stage.sea == "fixed" or course.sea is None else course.sea
        if course.day == 0 and stage.sea == "free":
            sea = sea + WARM_START[stage.level]
        since = course.day - (stage.days if stage.keep_from is None else stage.keep_from)
        fields = self.recipe.kept(since) if since >= 0 else []
        seen = []
        for quarter in range(STEPS_A_DAY):
            sea = np.where(self.slab.share > 0, sea, climate).astype(np.float32)
            if since * STEPS_A_DAY + quarter in fields:
                surface = self.slab.surface(sea, self.rest[today])
                course.series["states"].append(np.concatenate([course.weather, surface[None]]))
                course.series["steps"].append(since * STEPS_A_DAY + quarter)
            weather = self._atmosphere.step(sea, float(stage.level.removesuffix("x")))
            seen.append(weather)
            course.weather = _stacked(weather)
            if correction is not None:
                drawn = correction[today]
                if stage.sea == "nudged":
                    pull = self.slab.capacity / (NUDGING_DAYS * DAY_SECONDS)
                    drawn = drawn - pull * (sea - climate)
                sea = self.slab.step(sea, weather.surface_net_flux, drawn)
        self._note(course, today, seen, sea - climate)
        course.sea = np.asarray(sea, np.float32)
        course.day += 1
        course.elapsed += 1

    def _note(self, course: Course, today: int, seen: list[Weather], warmth: Array) -> None:
        grid, share = self.recipe.grid, self.slab.share
        flux = np.mean([one.surface_net_flux for one in seen], axis=0)
        if not np.isfinite(flux).all():
            raise FloatingPointError(f"the model blew up on day {course.day}")
        toa = np.mean([one.toa_net_flux for one in seen], axis=0)
        course.series["days"].append(today)
        course.series["flux"].append(flux)
        course.series["sun"].append(seen[-1].insolation.mean(-1))
        course.series["toa"].append(grid.mean(toa))
        course.series["warmth"].append(grid.mean(share * warmth) / grid.mean(share))

    def _resume(self, stage: Stage) -> Course:
        part = self.work / f"{stage.name}.part"
        if part.exists():
            self._atmosphere.restore(part / "atmosphere.msgpack")
            return _read(part)
        if stage.begin is None:
            return Course()
        before = self._done(stage.begin)
        self._atmosphere.restore(before / "atmosphere.msgpack")
        earlier, course = _read(before), Course()
        course.elapsed = earlier.elapsed
        course.sea, course.weather = earlier.sea, earlier.weather
        return course

    def _save(self, course: Course, folder: Path) -> None:
        """By a rename, so that a checkpoint is never half there."""
        scratch = folder.with_suffix(".writing")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        self._atmosphere.save(scratch / "atmosphere.msgpack")
        np.savez(scratch / "course.npz", **course.arrays())
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)


def _read(folder: Path) -> Course:
    with np.load(folder / "course.npz") as archive:
        return Course({name: archive[name] for name in archive.files})


def _stacked(weather: Weather) -> Array:
    fluxes = (weather.surface_net_flux, weather.toa_net_flux, weather.precipitation)
    return np.concatenate([weather.prognostic, np.stack(fluxes)]).astype(np.float32)
