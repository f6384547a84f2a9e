"""The emulator on its own: states fed back, over a slab ocean that its own fluxes warm and cool."""

from __future__ import annotations

import dataclasses

import numpy as np

from workloads.climate.archive import LEVELS, Archive, Run
from workloads.climate.slab import STEPS_A_DAY
from workloads.contract import Array, Judged

BOUND = 10.0
"""A state with a channel whose global root mean square passes this many of the channel's standard
deviations is no weather any more."""
SURFACE_BOUND = 50.0
"""So many kelvin from where it started, no sea surface goes."""


@dataclasses.dataclass
class Course:
    """One CO2 level's run; it stands still once it has gone out of bounds."""

    run: Run
    start: int
    fields: Array
    """The present state and its fluxes, normalised: prognostic channels, then diagnostic ones."""
    sea: Array
    first: Array
    warmth: list[float] = dataclasses.field(default_factory=list)
    """The global mean of the sea surface in K after each step within bounds."""
    total: Array | float = 0.0

    @property
    def alive(self) -> int:
        """Steps within bounds."""
        return len(self.warmth)

    @property
    def mean(self) -> Array:
        """The time mean over the steps within bounds, normalised."""
        return np.asarray(self.total / self.alive if self.alive else self.fields, np.float64)

    def tolerates(self, fields: Array, channels: int, sea: Array) -> bool:
        """Whether these are the numbers of a planet; the first `channels` are the state's."""
        finite = np.isfinite(fields).all() and np.isfinite(sea).all()
        if not finite or np.abs(sea - self.first).max() > SURFACE_BOUND:
            return False
        return bool(np.sqrt((fields[:channels] ** 2).mean((1, 2))).max() < BOUND)


def courses(archive: Archive, judged: Judged, days: int) -> list[Course]:
    """All CO2 levels run together for `days` days from states of the archive, unseen in training.

    Each is followed for as long as it stays within bounds, so that a wild emulator is told by how
    long that was, never by NaN.
    """
    made = [_begin(archive, level) for level in LEVELS]
    for ahead in range(days * STEPS_A_DAY):
        if not _advance(archive, made, judged, ahead):
            break
    return made


def _begin(archive: Archive, level: str) -> Course:
    run, start = archive.runs[level], archive.starts[level]
    sea = archive.slab.beneath(run.surface(start), run.beyond(start, 0)[0])
    return Course(run, start, run.fields_at(start), sea, sea)


def _advance(archive: Archive, made: list[Course], judged: Judged, ahead: int) -> bool:
    """Every level's next six hours; False when none is within bounds any more."""
    slab, scales = archive.slab, archive.scales
    outside = [one.run.beyond(one.start, ahead) for one in made]
    forcing = [
        archive.forcing(
            one.run.level,
            slab.surface(one.sea, rest),
            one.run.insolation(one.start, ahead + 1),
        )
        for one, (rest, _) in zip(made, outside, strict=True)
    ]
    channels = len(scales.change)
    states = np.stack([one.fields[:channels] for one in made])
    output = judged.predict({"state": states, "forcing": np.stack(forcing)})["output"]
    going = False
    for one, (_, correction), out in zip(made, outside, output, strict=True):
        if one.alive < ahead:
            continue
        state = one.fields[:channels] + out[:channels] * scales.change[:, None, None]
        sea = slab.step(one.sea, scales.diagnostic(0, out[channels]), correction)
        fields = np.concatenate([state, out[channels:]]).astype(np.float32)
        if not one.tolerates(fields, channels, sea):
            continue
        one.fields, one.sea = fields, sea
        one.total = one.total + one.fields.astype(np.float64)
        one.warmth.append(archive.sea_mean(sea))
        going = True
    return going
