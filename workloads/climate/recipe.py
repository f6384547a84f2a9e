"""How the generated archives are made: which runs, how long, and what is kept of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

from scoring.ground.cache import cache_folder
from workloads.climate.harmonics import Grid
from workloads.climate.slab import STEPS_A_DAY

MODEL = "jcm==3.0.0"
FORMAT = 2
"""Of what is kept: since 2, scales are those of the training segments, and a change is one of six
hours."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A set of runs of the general circulation model over the slab ocean.

    The Q-flux comes from a run over the observed sea surface, and then from coupled ones that are
    drawn to it, as often as `nudged_years` says; each CO2 level then spins up from where that
    ended and is kept for `kept_days`.
    """

    name: str
    truncation: int
    grid: Grid
    layers: tuple[int, ...]
    """Which of the model's eight layers are kept, from the top."""
    time_step: float
    """Minutes."""
    depth: float
    """Metres of mixed layer."""
    nudged_years: int
    spin_up_days: int
    kept_days: int
    segment_every: int
    """Days from the beginning of a kept segment to that of the next."""
    segment_steps: int
    """Steps in a segment: it has one state more."""

    @property
    def segments(self) -> int:
        """Segments kept of each run."""
        return self.kept_days // self.segment_every

    def kept(self, day: int) -> list[int]:
        """Which states of a day counted from the end of the spin-up are kept, by the step."""
        steps = range(day * STEPS_A_DAY, (day + 1) * STEPS_A_DAY)
        every, last = self.segment_every * STEPS_A_DAY, self.segments * self.segment_every
        return [s for s in steps if s % every <= self.segment_steps and s < last * STEPS_A_DAY]

    @property
    def digest(self) -> str:
        """Of everything that is stated here."""
        identity = json.dumps([MODEL, FORMAT, dataclasses.asdict(self)], sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()[:8]

    @property
    def origin(self) -> str:
        """The package whose model makes it."""
        return f"{MODEL} ({self.name})"

    @property
    def path(self) -> Path:
        """The folder of the archive, put there whole once it is made."""
        return cache_folder() / "climate" / f"{self.name}-{self.digest}"


RECIPES = {
    "slab-short": Recipe(
        name="slab-short",
        truncation=21,
        grid=Grid(32, 64),
        layers=(1, 3, 5, 7),
        time_step=30.0,
        depth=5.0,
        nudged_years=2,
        spin_up_days=90,
        kept_days=363,
        segment_every=11,
        segment_steps=8,
    ),
    "slab-long": Recipe(
        name="slab-long",
        truncation=21,
        grid=Grid(32, 64),
        layers=tuple(range(8)),
        time_step=30.0,
        depth=20.0,
        nudged_years=3,
        spin_up_days=1095,
        kept_days=1095,
        segment_every=5,
        segment_steps=12,
    ),
}
