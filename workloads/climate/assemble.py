"""Puts an archive together from the stages of its generation, and checks that it is the climate
that this release knows."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from scoring.ground.words import Facts
from workloads import seals
from workloads.climate.archive import DIAGNOSTICS, HELD_OUT, LEVELS, TRAINED, prognostic_names
from workloads.climate.gcm import day_of_year
from workloads.climate.generate import Course, Generation
from workloads.climate.generated import FACTS, TABLES, check_climate, validates
from workloads.climate.slab import annual_cycle
from workloads.contract import Array

FORCING_SETTLE = 20
"""Days cut off the beginning of the runs that tell the radiative forcing."""


def assemble(generation: Generation, names: list[str]) -> None:
    """Write the archive's folder, by a rename, and remove the checkpoints.

    Raises:
        ValueError: its climate is not the one that this release knows.
    """
    recipe = generation.recipe
    courses = {name: generation.course(name) for name in names}
    raw = {level: np.array(courses[level].series["states"]) for level in LEVELS}
    tables: dict[str, Any] = _scales(raw, recipe.segment_steps + 1) | _tables(generation, courses)
    summary = facts(generation, courses, raw)
    check_climate(recipe.name, summary["climate"])
    folder = recipe.path.with_suffix(".writing")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mean = np.concatenate(
        [tables["prognostic_mean"], tables["diagnostic_mean"], tables["surface_scale"][:1]]
    )
    std = np.concatenate(
        [tables["prognostic_std"], tables["diagnostic_std"], tables["surface_scale"][1:]]
    )
    for level, fields in raw.items():
        normalised = (fields - mean[:, None, None]) / std[:, None, None]
        np.save(folder / f"{level}.npy", normalised.astype(np.float16))
    np.savez(folder / TABLES, **tables)
    (folder / FACTS).write_text(json.dumps(summary, indent=1) + "\n")
    seals.seal(folder)
    os.replace(folder, recipe.path)
    shutil.rmtree(generation.work)


def _scales(raw: dict[str, Array], length: int) -> dict[str, Array]:
    """Means and standard deviations over the training segments, each of `length` states."""
    segments = [segment for level in TRAINED for segment in _trained(raw[level], length)]
    mean, std = _moments(lambda: iter(segments))
    _, change = _moments(lambda: (np.diff(segment, axis=0) for segment in segments))
    count = len(mean) - len(DIAGNOSTICS) - 1
    return {
        "prognostic_mean": mean[:count].astype(np.float32),
        "prognostic_std": std[:count].astype(np.float32),
        "diagnostic_mean": mean[count:-1].astype(np.float32),
        "diagnostic_std": std[count:-1].astype(np.float32),
        "surface_scale": np.array([mean[-1], std[-1]], np.float32),
        "change": (change[:count] / std[:count]).astype(np.float32),
    }


def _trained(states: Array, length: int) -> list[Array]:
    """The segments of a run that are trained on; six hours lie between two states of one."""
    segments = [states[start : start + length] for start in range(0, len(states), length)]
    return [segment for number, segment in enumerate(segments) if not validates(number)]


def _moments(pieces: Callable[[], Iterator[Array]]) -> tuple[Array, Array]:
    """Mean and standard deviation of each channel, one piece in memory at a time."""
    mean = _mean(piece for piece in pieces())
    square = _mean((piece - mean[:, None, None]) ** 2 for piece in pieces())
    return mean, np.sqrt(square)


def _mean(pieces: Iterable[Array]) -> Array:
    total, count = 0.0, 0
    for piece in pieces:
        total = total + piece.sum((0, 2, 3), dtype=np.float64)
        count += piece[:, 0].size
    return np.asarray(total / count)


def _tables(generation: Generation, courses: dict[str, Course]) -> dict[str, Array]:
    """What goes by the day of the year, and what never changes."""
    fixed, control = courses["fixed"], courses["1x"]
    ground = generation.ground
    sun = annual_cycle(np.array(fixed.series["days"]) + 0.5, np.array(fixed.series["sun"]), 4)
    orography = ground.orography
    kept_from = control.elapsed - generation.recipe.kept_days
    steps = {f"steps_{level}": np.array(courses[level].series["steps"]) for level in LEVELS}
    return steps | {
        "insolation": np.maximum(sun, 0).astype(np.float32),
        "insolation_scale": np.array([sun.mean(), sun.std()], np.float32),
        "rest": generation.rest,
        "correction": generation.correction(generation.last_nudged),
        "first_day": np.array(day_of_year(kept_from)),
        "share": generation.slab.share,
        "capacity": np.array(generation.slab.capacity, np.float32),
        "land_fraction": ground.land_fraction,
        "orography": ((orography - orography.mean()) / orography.std()).astype(np.float32),
    }


def facts(generation: Generation, courses: dict[str, Course], raw: dict[str, Array]) -> Facts:
    """What the archive's climate is like, in a few numbers."""
    recipe, grid = generation.recipe, generation.recipe.grid
    names = (*prognostic_names(len(recipe.layers)), *DIAGNOSTICS, "surface_temperature")
    climate = {
        level: dict(zip(names, grid.mean(fields.mean(0)).tolist(), strict=True))
        for level, fields in raw.items()
    }
    kept = slice(-recipe.kept_days, None)
    warmth = {level: np.array(courses[level].series["warmth"][kept]) for level in LEVELS}
    half = recipe.kept_days // 2
    return {
        "recipe": recipe.name,
        "states": {level: len(fields) for level, fields in raw.items()},
        "sea_surface_anomaly": {level: float(series.mean()) for level, series in warmth.items()},
        "drift_within_kept": {
            level: float(series[half:].mean() - series[:half].mean())
            for level, series in warmth.items()
        },
        "forcing": _forcing(courses),
        "climate": climate,
        "versions": generation.versions,
    }


def _forcing(courses: dict[str, Course]) -> dict[str, float]:
    """Change of the net flux at the top over the same sea surface, on the same days, W/m2."""
    top = {
        level: float(np.mean(courses[f"fixed-{level}"].series["toa"][FORCING_SETTLE:]))
        for level in LEVELS
    }
    return {level: top[level] - top["1x"] for level in (*TRAINED[1:], HELD_OUT)}
