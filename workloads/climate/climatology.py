"""What the emulator's runs on its own are worth, in physical units, beside the archive's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from workloads.climate import rollout
from workloads.climate.archive import DIAGNOSTICS, KINDS, Archive, Kept, prognostic_names
from workloads.climate.rollout import Course
from workloads.climate.slab import STEPS_A_DAY, YEAR
from workloads.contract import Array, Judged


@dataclasses.dataclass(frozen=True)
class Group:
    """Channels whose biases are told as one number, in the unit that the key ends with."""

    key: str
    kinds: tuple[str, ...]
    factor: float
    """From the archive's unit to this one."""


GROUPS = (
    Group("wind_m_s", ("eastward_wind", "northward_wind"), 1.0),
    Group("temperature_k", ("air_temperature",), 1.0),
    Group("humidity_g_kg", ("specific_total_water",), 1e3),
    Group("pressure_hpa", ("PRESsfc",), 1e-2),
    Group("precipitation_mm_day", ("precipitation",), 86_400.0),
)


@dataclasses.dataclass(frozen=True)
class Reference:
    """The archive's own run over the same days, as far as its states were kept.

    Fields are time means in their own units, (channels, nlat, nlon).
    """

    fields: Array
    noise: Array | None
    """How far `fields` may lie from the mean over all states, for want of more of them: half of
    the difference between every other stretch and the rest. None where there is one stretch."""
    warmth: dict[int, float]
    """The global mean of the sea surface in K, by the steps since the beginning."""

    @property
    def sea(self) -> float:
        """The mean of `warmth`."""
        return float(np.mean(list(self.warmth.values())))


def judge(archive: Archive, judged: Judged, days: int) -> dict[str, float]:
    """Stability, biases, drift, warming and energy budget of all CO2 levels over `days` days.

    What is averaged is averaged over the days that a level stayed within bounds.
    """
    courses = rollout.courses(archive, judged, days)
    true = [reference(archive, one, days) for one in courses]
    metrics = {"stable_days": min(one.alive for one in courses) / STEPS_A_DAY}
    metrics |= _biases(archive, courses, true)
    metrics["drift_k_a_year"] = float(
        np.mean([abs(_drift(one, other)) for one, other in zip(courses, true, strict=True)])
    )
    metrics |= _budget(archive, courses, true)
    return {f"test/rollout_{name}": value for name, value in metrics.items()} | _warming(
        archive, courses, true
    )


def reference(archive: Archive, course: Course, days: int) -> Reference:
    """What the archive has of the days that a course was run for."""
    run, stretches = course.run, course.run.within(course.start, days * STEPS_A_DAY)

    def total(kept: Sequence[Kept]) -> Array:
        first, *rest = (run.fields_at(index).astype(np.float64) for index, _ in kept)
        return sum(rest, first)

    def mean(places: slice) -> Array:
        count = sum(map(len, stretches[places]))
        return archive.scales.physical(np.asarray(sum(totals[places]) / count))

    totals = [total(kept) for kept in stretches]
    apart = len(stretches) > 1
    return Reference(
        fields=mean(slice(None)),
        noise=(mean(slice(0, None, 2)) - mean(slice(1, None, 2))) / 2 if apart else None,
        warmth={
            ahead: archive.sea_mean(
                archive.slab.beneath(run.surface(index), run.beyond(index, 0)[0])
            )
            for kept in stretches
            for index, ahead in kept
        },
    )


def channels(archive: Archive) -> tuple[str, ...]:
    """The names of a state's channels and of the fluxes after them."""
    levels = (len(archive.scales.change) - 1) // len(KINDS)
    return (*prognostic_names(levels), *DIAGNOSTICS)


def bias(archive: Archive, course: Course, true: Reference) -> Array:
    """The error of the time mean, in the channels' own units."""
    return archive.scales.physical(course.mean) - true.fields


def _biases(
    archive: Archive, courses: Sequence[Course], true: Sequence[Reference]
) -> dict[str, float]:
    """Root mean squares over the sphere of the error of the time mean, and their noise floor."""
    pairs = list(zip(courses, true, strict=True))
    found = {"": [bias(archive, one, other) for one, other in pairs]}
    noise = [other.noise for other in true if other.noise is not None]
    if noise:
        found["_floor"] = noise
    return {
        f"bias_{group.key}{suffix}": group.factor * _size(archive, np.stack(errors), group)
        for group in GROUPS
        for suffix, errors in found.items()
    }


def _size(archive: Archive, errors: Array, group: Group) -> float:
    rows = [row for row, name in enumerate(channels(archive)) if name.startswith(group.kinds)]
    return float(np.sqrt(archive.grid.mean(errors[:, rows] ** 2)).mean())


def _drift(course: Course, true: Reference) -> float:
    """By how much a year the sea surface leaves the archive's, K: a trend, so seasons cancel."""
    apart = {ahead: course.warmth[ahead - 1] - sea for ahead, sea in _lived(course, true)}
    if not apart:
        return 0.0
    slope = np.polyfit([0, *apart], [0.0, *apart.values()], 1)[0]
    return float(slope * STEPS_A_DAY * YEAR)


def _lived(course: Course, true: Reference) -> list[tuple[int, float]]:
    return [(ahead, sea) for ahead, sea in true.warmth.items() if ahead <= course.alive]


def _budget(
    archive: Archive, courses: Sequence[Course], true: Sequence[Reference]
) -> dict[str, float]:
    """Net flux at the top, and what of it the surface is not given: W/m2, means over the levels.

    Over weeks the atmosphere keeps next to nothing, so what is left is energy made or lost.
    """
    names = channels(archive)
    top, surface = (names.index(name) for name in ("toa_net_flux", "surface_net_flux"))
    emulated = [archive.scales.physical(one.mean) for one in courses]
    found = {}
    for suffix, fields in (("", emulated), ("_reference", [one.fields for one in true])):
        flux = archive.grid.mean(np.stack(fields)).mean(0)
        found[f"top_flux_w_m2{suffix}"] = float(flux[top])
        found[f"budget_residual_w_m2{suffix}"] = float(flux[top] - flux[surface])
    return found


def _warming(
    archive: Archive, courses: Sequence[Course], true: Sequence[Reference]
) -> dict[str, float]:
    """Of the sea surface, by doubling from 1x to 4x and at 3x, with the archive's own: K."""
    emulated = {
        one.run.level: float(np.mean(one.warmth)) if one.warmth else archive.sea_mean(one.sea)
        for one in courses
    }
    own = {one.run.level: other.sea for one, other in zip(courses, true, strict=True)}
    found = {}
    for suffix, sea in (("", emulated), ("_reference", own)):
        found[f"test/warming_per_doubling_k{suffix}"] = (sea["4x"] - sea["1x"]) / 2
        found[f"test/warming_3x_k{suffix}"] = sea["3x"] - sea["1x"]
    return found
