"""Draws what an emulator does on its own, from the weights that a trial kept at its hit:

    python -m workloads.climate.pictures climate-toy-v2 study0-trial0.hit.safetensors rollout.svg

The sea surface of every CO2 level beside the archive's, and maps of the time-mean error at 3x CO2.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import workloads
from scoring.report.axes import Scale, Unit, short
from scoring.report.markup import Markup, element, join
from scoring.report.pictures import card
from scoring.report.plots import BOTTOM, END, HEIGHT, LEFT, TOP, WIDTH, x_axis, y_axis
from workloads.climate import climatology, data, rollout
from workloads.climate.archive import HELD_OUT, Archive
from workloads.climate.climatology import Reference
from workloads.climate.rollout import Course
from workloads.climate.slab import STEPS_A_DAY
from workloads.climate.workload import Climate
from workloads.contract import Array, Judged, Weights
from workloads.errors import WorkloadError

KEPT = "state/weights/"
"""What the names of weights begin with in the files that trials keep."""
DAY = Unit("days", 1.0)
MAP_WIDTH, MAP_GAP, LEGEND = 260, 20, 46
SHADES = 4
"""Of each colour, from nothing to the scale's end."""
COLD, NONE, WARM = (0, 114, 178), (247, 247, 247), (213, 94, 0)
LAND = 0.5
PAD = 14


def main(arguments: Sequence[str]) -> int:
    """Draw one picture; 2 where that cannot be."""
    try:
        if len(arguments) != 3:
            raise WorkloadError("pictures: give a workload, a *.hit.safetensors and an .svg")
        workload = workloads.get(arguments[0])
        if not isinstance(workload, Climate):
            raise WorkloadError(f"{arguments[0]}: not a climate workload, so it has no rollouts")
        drawn = picture(workload, read_weights(Path(arguments[1]), workload))
        try:
            Path(arguments[2]).write_text(drawn, encoding="utf-8")
        except OSError as error:
            raise WorkloadError(f"{arguments[2]}: cannot be written: {error.strerror}") from None
    except WorkloadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def read_weights(path: Path, workload: Climate) -> Weights:
    """The weights in a file that a trial kept.

    Raises:
        WorkloadError: it cannot be read, or holds those of another workload.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        held = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WorkloadError(f"{path}: cannot be read: {error}") from None
    weights = {
        name.removeprefix(KEPT): value for name, value in held.items() if name.startswith(KEPT)
    }
    wanted = {name: spec.shape for name, spec in workload.parameters().items()}
    if {name: value.shape for name, value in weights.items()} != wanted:
        raise WorkloadError(f"{path}: not weights of {workload.id}; give its *.hit.safetensors")
    return weights


def picture(workload: Climate, weights: Weights) -> str:
    """The rollouts of these weights as SVG."""
    settings, model = workload.settings.data, workload.jax_model()
    archive = data.load(settings)

    def predict(batch: dict[str, Array]) -> dict[str, Array]:
        return {name: np.asarray(rows) for name, rows in model.predict(weights, batch).items()}  # type: ignore[arg-type]

    def unasked(batch: dict[str, Array]) -> dict[str, Array]:
        raise NotImplementedError("a rollout asks for predictions alone")

    judged = Judged(unasked, predict, lambda: weights)
    days = settings.rollout_days
    courses = rollout.courses(archive, judged, days)
    true = [climatology.reference(archive, one, days) for one in courses]
    title = f"{workload.id}: {days} days over its own sea"
    maps = _maps(archive, courses, true)
    height = HEIGHT + MAP_WIDTH * settings.nlat / settings.nlon + LEGEND + 30
    text = "Lines are the emulator, dots the archive; maps show emulator minus archive."
    drawing = element("g", _series(courses, true, days), maps, transform=f"translate({PAD} {PAD})")
    return card(title, text, drawing, WIDTH + 2 * PAD, height + 2 * PAD)


def _series(courses: Sequence[Course], true: Sequence[Reference], days: int) -> Markup:
    """The global mean of each level's sea surface against the day."""
    seen = [
        *(w for one in courses for w in one.warmth),
        *(w for o in true for w in o.warmth.values()),
    ]
    x = Scale(0, days, LEFT, END - 30)
    y = Scale(min(seen) - 0.1, max(seen) + 0.1, HEIGHT - BOTTOM, TOP)
    lines = []
    for hue, (one, other) in enumerate(zip(courses, true, strict=True)):
        daily = one.warmth[STEPS_A_DAY - 1 :: STEPS_A_DAY]
        corners = [f"{x(day)},{y(sea)}" for day, sea in enumerate(daily, start=1)]
        dots = [
            element("circle", cx=x(ahead / STEPS_A_DAY), cy=y(sea), r=2, class_="fill")
            for ahead, sea in other.warmth.items()
            if ahead % STEPS_A_DAY == 0
        ]
        end = y((daily or list(other.warmth.values()))[-1])
        name = element("text", one.run.level, x=END - 24, y=end + 4, class_="fill strong")
        line = element("path", d="M" + "L".join(corners), class_="line") if corners else None
        lines.append(element("g", line, *dots, name, class_=f"c{hue}"))
    axes = join(
        x_axis(x, DAY), y_axis(y, "global mean sea surface (K): emulator, and archive (dots)")
    )
    return join(axes, *lines)


def _maps(archive: Archive, courses: Sequence[Course], true: Sequence[Reference]) -> Markup:
    """Two fields' errors of the time mean at the level that was never trained on."""
    place = [one.run.level for one in courses].index(HELD_OUT)
    errors = climatology.bias(archive, courses[place], true[place])
    names = climatology.channels(archive)
    air = max(row for row, name in enumerate(names) if name.startswith("air_temperature"))
    rain = names.index("precipitation")
    left = (WIDTH - 2 * MAP_WIDTH - MAP_GAP) / 2
    shown = (
        (f"lowest air at {HELD_OUT} CO2, error (K)", errors[air]),
        (f"precipitation at {HELD_OUT}, error (mm/day)", errors[rain] * 86_400.0),
    )
    return join(
        *(
            _map(title, field, archive.land_fraction, left + (MAP_WIDTH + MAP_GAP) * column)
            for column, (title, field) in enumerate(shown)
        )
    )


def _map(title: str, field: Array, land: Array, left: float) -> Markup:
    """A field from pole to pole, Greenwich in the middle; blue below 0, vermilion above."""
    nlat, nlon = field.shape
    cell, top = MAP_WIDTH / nlon, HEIGHT + 22
    upright = np.roll(field[::-1], nlon // 2, axis=1)
    limit = _round_up(float(np.quantile(np.abs(field), 0.98)))
    shades = np.clip(np.rint(upright / limit * SHADES), -SHADES, SHADES).astype(int)
    paths = [
        element("path", d=_runs(shades == shade), fill=_colour(shade))
        for shade in range(-SHADES, SHADES + 1)
        if (shades == shade).any()
    ]
    coast = _edges(np.roll(land[::-1], nlon // 2, axis=1) > LAND)
    place = f"translate({left:g} {top}) scale({cell:g})"
    bottom = top + nlat * cell + 16
    keys = [
        join(
            element("rect", x=left + 20 * n, y=bottom - 8, width=20, height=8, fill=_colour(shade)),
            element(
                "text",
                short(shade * limit / SHADES),
                x=left + 20 * n + 10,
                y=bottom + 16,
                class_="soft middle",
            )
            if shade % SHADES == 0
            else None,
        )
        for n, shade in enumerate(range(-SHADES, SHADES + 1))
    ]
    return join(
        element("text", title, x=left, y=top - 8, class_="soft"),
        element(
            "g",
            *paths,
            element("path", d=coast, fill="none", stroke="#1c2025", stroke_width=0.25),
            transform=place,
        ),
        *keys,
    )


def _round_up(value: float) -> float:
    """To 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(value, 1e-6)))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= value * 0.999)


def _colour(shade: int) -> str:
    end = WARM if shade > 0 else COLD
    share = abs(shade) / SHADES
    mixed = (round(a + (b - a) * share) for a, b in zip(NONE, end, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _runs(cells: Array) -> str:
    """The cells as a path, a rectangle for each run along a row."""
    parts = []
    for row, line in enumerate(cells):
        turns = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
        parts += [
            f"M{a} {row}h{b - a}v1h{a - b}z" for a, b in zip(turns[::2], turns[1::2], strict=True)
        ]
    return "".join(parts)


def _edges(inside: Array) -> str:
    """The lines between cells that are inside and cells that are not."""
    upright = [f"M{x + 1} {y}v1" for y, x in np.argwhere(inside[:, 1:] != inside[:, :-1])]
    level = [f"M{x} {y + 1}h1" for y, x in np.argwhere(inside[1:] != inside[:-1])]
    return "".join([*upright, *level])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
