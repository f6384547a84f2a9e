"""The emulator on its own: states fed back, over a slab ocean that its own fluxes warm and cool."""

from __future__ import annotations

import dataclasses

import numpy as np

from workloads.climate.archive import KINDS, LEVELS, Archive, Run, prognostic_names
from workloads.climate.slab import STEPS_A_DAY
from workloads.contract import Array, Judged

BOUND = 10.0
"""A state with a channel whose global root mean square passes this many of the channel's standard
deviations is no weather any more."""
SURFACE_BOUND = 50.0
"""So many kelvin from where it started, no sea surface goes."""
GROUPS = {
    "wind": ("eastward_wind", "northward_wind"),
    "temperature": ("air_temperature",),
    "humidity": ("specific_total_water",),
    "pressure": ("PRESsfc",),
}


@dataclasses.dataclass
class _Member:
    """One CO2 level's course; it stands still once it has gone out of bounds."""

    run: Run
    start: int
    state: Array
    sea: Array
    first: Array
    alive: int = 0
    total: Array | float = 0.0
    warmth: float = 0.0

    def tolerates(self, state: Array, sea: Array) -> bool:
        """Whether these are the numbers of a planet."""
        finite = np.isfinite(state).all() and np.isfinite(sea).all()
        if not finite or np.abs(sea - self.first).max() > SURFACE_BOUND:
            return False
        return bool(np.sqrt((state**2).mean((1, 2))).max() < BOUND)


def judge(archive: Archive, judged: Judged, days: int) -> dict[str, float]:
    """Stability, time-mean bias and warming of all CO2 levels run together for `days` days.

    The levels start from states of the archive. The emulator's means are over the days that a level
    stayed within bounds, so that a wild one is told by `stable_days`, never by NaN; the archive's,
    to which they are compared, are over all of them.
    """
    members = [_begin(archive, level) for level in LEVELS]
    for ahead in range(days * STEPS_A_DAY):
        if not _advance(archive, members, judged, ahead):
            break
    return _metrics(archive, members, days)


def _begin(archive: Archive, level: str) -> _Member:
    run, start = archive.runs[level], archive.starts[level]
    sea = archive.slab.beneath(run.surface(start), run.beyond(start, 0)[0])
    return _Member(run, start, run.prognostic(start), sea, sea)


def _advance(archive: Archive, members: list[_Member], judged: Judged, ahead: int) -> bool:
    """Every member's next six hours; False when none is within bounds any more."""
    slab, scales = archive.slab, archive.scales
    outside = [one.run.beyond(one.start, ahead) for one in members]
    forcing = [
        archive.forcing(
            one.run.level,
            slab.surface(one.sea, rest),
            one.run.insolation(one.start, ahead + 1),
        )
        for one, (rest, _) in zip(members, outside, strict=True)
    ]
    states = np.stack([one.state for one in members])
    output = judged.predict({"state": states, "forcing": np.stack(forcing)})["output"]
    channels = states.shape[1]
    going = False
    for one, (_, correction), out in zip(members, outside, output, strict=True):
        if one.alive < ahead:
            continue
        state = one.state + out[:channels] * scales.change[:, None, None]
        flux = scales.diagnostic(0, out[channels])
        sea = slab.step(one.sea, flux, correction)
        if not one.tolerates(state, sea):
            continue
        one.state, one.sea = state.astype(np.float32), sea
        one.alive = ahead + 1
        one.total = one.total + one.state.astype(np.float64)
        one.warmth += _sea_mean(archive, sea)
        going = True
    return going


def _sea_mean(archive: Archive, sea: Array) -> float:
    share = archive.slab.share
    return float(archive.grid.mean(share * sea) / archive.grid.mean(share))


def _metrics(archive: Archive, members: list[_Member], days: int) -> dict[str, float]:
    alive = [one.alive / STEPS_A_DAY for one in members]
    metrics = {"test/rollout_stable_days": float(min(alive))}
    true = [_reference(archive, one, days) for one in members]
    biases = [_bias(archive, one, mean) for one, (mean, _) in zip(members, true, strict=True)]
    names = prognostic_names((len(archive.scales.change) - 1) // len(KINDS))
    for group, kinds in GROUPS.items():
        rows = [row for row, name in enumerate(names) if name.startswith(kinds)]
        metrics[f"test/rollout_bias_{group}"] = float(np.mean([bias[rows] for bias in biases]))
    sea = {one.run.level: _warmth(archive, one) for one in members}
    reference = {one.run.level: sea for one, (_, sea) in zip(members, true, strict=True)}
    metrics["test/warming_per_doubling"] = (sea["4x"] - sea["1x"]) / 2
    metrics["test/warming_per_doubling_reference"] = (reference["4x"] - reference["1x"]) / 2
    metrics["test/warming_3x"] = sea["3x"] - sea["1x"]
    metrics["test/warming_3x_reference"] = reference["3x"] - reference["1x"]
    return metrics


def _warmth(archive: Archive, member: _Member) -> float:
    return member.warmth / member.alive if member.alive else _sea_mean(archive, member.sea)


def _reference(archive: Archive, member: _Member, days: int) -> tuple[Array, float]:
    """Mean state and mean sea surface of the archive's own run over all of `days`."""
    run, kept = member.run, member.run.within(member.start, days * STEPS_A_DAY)
    states: Array = np.stack([run.prognostic(index) for index in kept]).astype(np.float64)
    seas = [archive.slab.beneath(run.surface(index), run.beyond(index, 0)[0]) for index in kept]
    return states.mean(0), float(np.mean([_sea_mean(archive, sea) for sea in seas]))


def _bias(archive: Archive, member: _Member, reference: Array) -> Array:
    """Root mean square over the sphere of the time mean's error, in standard deviations."""
    mean = member.total / member.alive if member.alive else member.state
    return np.sqrt(archive.grid.mean((mean - reference) ** 2))
