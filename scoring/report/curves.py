"""Learning curves: every trial's judged metric against the clock, with the target."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from scoring.columns import readings, values
from scoring.ground.clocks import CLOCKS
from scoring.ground.ends import ENDS
from scoring.ground.words import Clock, Target
from scoring.records import Record, run_of
from scoring.report import crowds
from scoring.report.axes import Scale, bounded, clock_unit, robust_range, short
from scoring.report.markup import Markup, element, join
from scoring.report.names import run_names
from scoring.report.palette import Style
from scoring.report.plots import END, FLOOR, LEFT, TOP, Styles, picture, x_axis, y_axis
from scoring.report.thinning import kept_of_all
from scoring.times import check_clock, first_hit, readable_clocks

CROWD = 150
"""From this many curves on, those that decide no study are drawn fainter."""
POINTS = 6000
"""About so many points are drawn of a workload's curves, but of each at least `LEAST_POINTS`."""
SIDE_POINTS = 400
"""The same of a metric that is not judged."""
LEAST_POINTS = 24
STRAY = 10.0
"""A curve that leaves the best value so many times as far behind as trials begin does not stretch
the axis."""
FENCE = 3.0
"""Tukey 1977, Exploratory Data Analysis: further from the quartiles than so many times their
distance, a value is far out."""
_MARK = 6
"""Half a marker: so far may one reach beyond the axes, where its curve is cut off."""
TOLERANCE = 0.4
"""Drawing units by which a thinned curve may miss a point."""
STYLE = """
.line.fastest { stroke-width: 1.9; }
.line.other { stroke-width: 1.1; stroke-opacity: .38; }
.crowd .line.other { stroke-width: .8; stroke-opacity: .22; }
.mark.other { opacity: .5; }
.halo { paint-order: stroke; stroke-width: 4px; stroke-linejoin: round; }
"""
"""What curves need beyond the style sheet of all plots; the halo's colour is the paper's."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """One trial's judged metric, evaluation by evaluation; `hit` is the one that met the target.

    `fastest` marks the trial by which its study is judged. `stable` is False for trials that failed
    or diverged, whose values do not stretch the axis.
    """

    style: Style
    framework: str
    label: str
    readings: Mapping[Clock, tuple[float, ...]]
    values: tuple[float, ...]
    hit: int | None
    fastest: bool
    stable: bool


@dataclasses.dataclass(frozen=True)
class _Race:
    """One workload's curves, and what they are drawn on."""

    target: Target
    curves: Sequence[Curve]
    clock: Clock
    x: Mapping[Clock, Scale]
    y: Scale


def curves_of(
    records: Sequence[Record], target: Target, clock: Clock, looks: Styles
) -> list[Curve]:
    """The curves of one workload's trials; those by which studies are judged come last, on top."""
    leaders = crowds.leaders(records, clock)
    runs = run_names(records)
    curves = [
        _curve(
            record,
            target,
            looks,
            fastest=math.isfinite(leaders.get(place, math.inf)),
            run=runs.get(run_of(record.path)),
        )
        for place, record in enumerate(records)
    ]
    return sorted(curves, key=lambda curve: curve.fastest)


def curve_plot(
    plot: str, workload: str, records: Sequence[Record], clock: Clock, looks: Styles
) -> tuple[Markup, dict[str, object]]:
    """Metric against clock, and the data with which a script redraws it on another clock.

    All `records` are of one workload and have a target; the first one's is drawn.

    Raises:
        RecordError: some were not timed on the clock.
    """
    race = _race(records, clock, looks, redrawn_on=readable_clocks(records))
    axes = [
        element("g", _axis(race, name), data_clock=name, hidden=name != clock) for name in CLOCKS
    ]
    drawing = _drawing(plot, race, join(*axes))
    title = f"{workload}: learning curves"
    return picture(plot, title, _told(race), drawing, kind="curves"), _data(race)


def curve_drawing(
    plot: str, records: Sequence[Record], clock: Clock, looks: Styles
) -> tuple[Markup, str]:
    """The plot without its frame and on one clock alone, and a description of it in words.

    The ids within begin with `plot`; `STYLE` and the sheet of all plots must stand around it.
    """
    race = _race(records, clock, looks)
    crowd = "crowd" if len(records) >= CROWD else None
    return element("g", _drawing(plot, race, _axis(race, clock)), class_=crowd), _told(race)


def marks_told(records: Sequence[Record]) -> list[str]:
    """Legend lines for the curves of one workload."""
    if any(map(crowds.is_at_equal_budget, records)):
        return ["faint: not the best of its study"]
    return ["marker: target first met", "faint: missed, or slower"]


def side_plot(
    plot: str, metric: str, records: Sequence[Record], clock: Clock, looks: Styles
) -> Markup:
    """A metric that is not judged against the clock; marks stand where the target was met."""
    target = Target(metric, "min", None)
    race = _race(records, clock, looks, target, points=SIDE_POINTS)
    description = f"{metric} against the clock, trials: {len(race.curves)}. Not scored."
    return picture(plot, metric, description, _drawing(plot, race, _axis(race, clock)))


def _race(
    records: Sequence[Record],
    clock: Clock,
    looks: Styles,
    target: Target | None = None,
    points: int = POINTS,
    redrawn_on: Sequence[Clock] = (),
) -> _Race:
    check_clock(records, clock)
    side = target is not None
    if target is not None:  # another metric than the judged one, which evaluations may lack
        curves = [_measured(curve) for curve in curves_of(records, target, clock, looks)]
        curves = [curve for curve in curves if curve.values]
    else:
        target = next(record.header.target for record in records if record.header.target)
        curves = curves_of(records, target, clock, looks)
    scales = {name: _clock_scale(curves, name) for name in CLOCKS}
    y = _side_scale(curves) if side else _metric_scale(curves, target)
    most = max(LEAST_POINTS, points // len(curves))
    places = kept_of_all(
        [[curve.readings[name] for curve in curves] for name in {clock, *redrawn_on}],
        [y.places(curve.values) for curve in curves],
        tolerance=TOLERANCE,
        most=most,
        also=[[] if curve.hit is None else [curve.hit] for curve in curves],
    )
    thin = [_at(curve, own) for curve, own in zip(curves, places, strict=True)]
    return _Race(target, thin, clock, scales, y)


def _measured(curve: Curve) -> Curve:
    """The curve without evaluations that have no number."""
    places = np.flatnonzero(np.isfinite(curve.values)).tolist()
    has_hit = curve.hit is None or curve.hit in places
    return _at(curve if has_hit else dataclasses.replace(curve, hit=None), places)


def _at(curve: Curve, places: Sequence[int]) -> Curve:
    """The curve at some of its evaluations, among them that of the hit."""
    return dataclasses.replace(
        curve,
        readings={
            name: tuple(times[place] for place in places) for name, times in curve.readings.items()
        },
        values=tuple(curve.values[place] for place in places),
        hit=None if curve.hit is None else places.index(curve.hit),
    )


def _drawing(plot: str, race: _Race, axes: Markup) -> Markup:
    area, wide = (
        element(
            "rect",
            x=LEFT - edge,
            y=TOP - edge,
            width=END - LEFT + 2 * edge,
            height=FLOOR - TOP + 2 * edge,
        )
        for edge in (0, _MARK)
    )
    lines = [_line(index, curve, race) for index, curve in enumerate(race.curves)]
    marks = [_mark(index, curve, race) for index, curve in enumerate(race.curves)]
    return join(
        element("clipPath", area, id=f"{plot}-area"),
        element("clipPath", wide, id=f"{plot}-wide"),
        y_axis(race.y, race.target.metric.removeprefix("validation/").replace("_", " ")),
        axes,
        _target_line(race.y, race.target),
        element("g", *lines, clip_path=f"url(#{plot}-area)"),
        element("g", *marks, clip_path=f"url(#{plot}-wide)"),
    )


def _axis(race: _Race, clock: Clock) -> Markup:
    return x_axis(race.x[clock], clock_unit(clock, race.x[clock].high))


def _told(race: _Race) -> str:
    what = f"{race.target.metric} against the clock, trials: {len(race.curves)}. "
    if race.target.value is None:
        return f"{what}No target: trials are compared at equal budget."
    return (
        f"{what}The dashed line is the target, {short(race.target.value, 6)}; a marker stands "
        "where a trial first met it."
    )


def _curve(
    record: Record, target: Target, looks: Styles, *, fastest: bool, run: str | None
) -> Curve:
    head = record.header
    label = f"{head.submission} ({head.framework}), study {head.study}, trial {head.trial}"
    return Curve(
        style=looks[head.submission],
        framework=head.framework,
        label=f"{label}, {run}" if run else label,
        readings={clock: _readings(record, clock) for clock in CLOCKS},
        values=tuple(values(record.evaluations, target.metric).tolist()),
        hit=first_hit(head, record.evaluations),
        fastest=fastest,
        stable=record.outcome is None or not ENDS[record.outcome.end].broken,
    )


def _readings(record: Record, clock: Clock) -> tuple[float, ...]:
    # A trial that was not paired has no readings there; no page offers that clock for it.
    times = readings(record.evaluations, clock)
    return tuple(np.where(np.isfinite(times), times, 0.0).tolist())


def _clock_scale(curves: Sequence[Curve], clock: Clock) -> Scale:
    longest = max((max(curve.readings[clock], default=0.0) for curve in curves), default=0.0)
    return Scale(0.0, longest * 1.02 or 1.0, LEFT, END)


def _metric_scale(curves: Sequence[Curve], target: Target) -> Scale:
    steady = [[v for v in one.values if math.isfinite(v)] for one in _steady(curves)]
    marks = [] if target.value is None else [target.value]
    every = [*marks, *(value for values in steady for value in values)]
    best = (min if target.goal == "min" else max)(every, default=0.0)
    # A trial may come back from where it strayed, and end as others do.
    reach = STRAY * statistics.median([abs(one[0] - best) for one in steady if one] or [0.0])
    near = [values for values in steady if all(abs(v - best) <= reach for v in values)]
    seen = [value for values in near or steady for value in values]
    low, high = robust_range(seen, [*marks, best])
    return Scale(low, high, FLOOR, TOP)


def _side_scale(curves: Sequence[Curve]) -> Scale:
    """Of a metric that has no better end: all but what lies beyond the fence of a box plot."""
    values = bounded(value for one in _steady(curves) for value in one.values)
    lower, upper = np.quantile(values, [0.25, 0.75])
    reach = FENCE * (upper - lower)
    near = values[(values >= lower - reach) & (values <= upper + reach)]
    margin = 0.05 * float(np.ptp(near)) or abs(float(near[0])) * 0.05 or 1.0
    return Scale(float(near.min()) - margin, float(near.max()) + margin, FLOOR, TOP)


def _steady(curves: Sequence[Curve]) -> Sequence[Curve]:
    """Those whose values may stretch an axis; all where there are no others."""
    return [curve for curve in curves if curve.stable and curve.values] or curves


def _line(index: int, curve: Curve, race: _Race) -> Markup:
    x, y = race.x[race.clock], race.y
    corners = (x.places(curve.readings[race.clock]).tolist(), y.places(curve.values).tolist())
    kind = " fastest" if curve.fastest else " other"
    return element(
        "path",
        d=_path(zip(*corners, strict=True)),
        class_=f"line {curve.framework} {curve.style.colour}{kind}",
        data_s=curve.style.series,
        data_i=index,
    )


def _path(corners: Iterable[tuple[float, float]]) -> str:
    """Lines through corners, broken off where one is not finite; a corner alone is a dot."""
    path, joined = [], 0
    for across, up in (*corners, (math.nan, math.nan)):
        if math.isfinite(across) and math.isfinite(up):
            path.append(f"{'L' if joined else 'M'}{across},{up}")
            joined += 1
        else:
            path.append("h0" if joined == 1 else "")
            joined = 0
    return "".join(path)


def _mark(index: int, curve: Curve, race: _Race) -> Markup | None:
    if curve.hit is None:
        return None
    across = race.x[race.clock](curve.readings[race.clock][curve.hit])
    up = race.y(curve.values[curve.hit])
    return element(
        "path",
        d=curve.style.marker,
        class_=f"mark {curve.style.colour}{'' if curve.fastest else ' other'}",
        transform=f"translate({across},{up})",
        data_s=curve.style.series,
        data_i=index,
    )


def _target_line(y: Scale, target: Target) -> Markup | None:
    if target.value is None:
        return None
    height = y(target.value)
    below = target.goal == "min" and height < FLOOR - 20
    return join(
        element("path", d=f"M{LEFT},{height}H{END}", class_="target"),
        element(
            "text",
            f"target {short(target.value, 6)}",
            x=LEFT + 4,  # where curves begin, and are far from it
            y=height + (15 if below else -6),
            class_="soft halo",
        ),
    )


def _data(race: _Race) -> dict[str, object]:
    return {
        "metric": race.target.metric,
        "x": {clock: list(dataclasses.astuple(scale)) for clock, scale in race.x.items()},
        "y": list(dataclasses.astuple(race.y)),
        "curves": [
            {
                "label": curve.label,
                "hit": curve.hit,
                **{
                    clock: list(map(int, times))
                    if clock == "steps"
                    else rounded(times, race.x[clock])
                    for clock, times in curve.readings.items()
                },
                "y": rounded(curve.values, race.y),
            }
            for curve in race.curves
        ],
    }


def rounded(numbers: Sequence[float], axis: Scale) -> list[float]:
    """To five significant digits, and to as many more as can be seen on the axis."""
    array = np.asarray(numbers, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        exponents = np.where(np.isfinite(array) & (array != 0), np.log10(np.abs(array)), 0.0)
    exponents = np.minimum(exponents, math.log10(axis.high - axis.low))
    digits = (4 - np.floor(exponents)).clip(-300, 300).astype(int).tolist()
    return [round(number, places) for number, places in zip(array.tolist(), digits, strict=True)]
