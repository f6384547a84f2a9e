"""A record's evaluations in columns: what thousands of trials are read into.

Read and checked as a whole, many times quicker than line by line. Whatever is not plainly in order
is left to the reader of lines, which accepts or refuses it in words.
"""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

import numpy as np

from scoring import ranges
from scoring.details import LARGEST, LATEST, NOT_FINITE, is_name
from scoring.ground.clocks import CLOCKS
from scoring.ground.pursuit import Pursuit
from scoring.ground.words import Clock, Facts
from scoring.lines import Evaluation, Header

BEGINNING = b'{"kind": "eval", '
"""How a line of an evaluation begins as it is written here."""


class Evaluations(Sequence[Evaluation]):
    """A sequence of evaluations; one is built when it is asked for.

    `present` tells of a metric that some of them lack which have it; the others' values are NaN.
    """

    def __init__(
        self,
        steps: np.ndarray,
        wall_s: np.ndarray,
        cpu_s: np.ndarray,
        paired: np.ndarray | None,
        metrics: Mapping[str, np.ndarray],
        present: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.steps = steps
        self.wall_s = wall_s
        self.cpu_s = cpu_s
        self.paired = paired
        self.metrics = metrics
        self.present = present or {}
        self.pursuit: tuple[object, Pursuit] | None = None
        """What they made of a target, once that was asked: the question and the answer."""

    def __len__(self) -> int:
        return len(self.steps)

    @overload
    def __getitem__(self, place: int) -> Evaluation: ...

    @overload
    def __getitem__(self, place: slice) -> Evaluations: ...

    def __getitem__(self, place: int | slice) -> Evaluation | Evaluations:
        if isinstance(place, slice):
            return Evaluations(
                self.steps[place],
                self.wall_s[place],
                self.cpu_s[place],
                None if self.paired is None else self.paired[place],
                {name: values[place] for name, values in self.metrics.items()},
                {name: has[place] for name, has in self.present.items()},
            )
        lacking = {name for name, has in self.present.items() if not has[place]}
        return Evaluation(
            int(self.steps[place]),
            float(self.wall_s[place]),
            float(self.cpu_s[place]),
            {
                name: float(values[place])
                for name, values in self.metrics.items()
                if name not in lacking
            },
            None if self.paired is None else float(self.paired[place]),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def readings(evaluations: Sequence[Evaluation], clock: Clock) -> np.ndarray:
    """The evaluations' readings of a clock; infinite where the trial was not paired."""
    if not isinstance(evaluations, Evaluations):
        read = CLOCKS[clock].read
        return np.array([read(one) for one in evaluations], dtype=float)
    if clock == "steps":
        return evaluations.steps.astype(float)
    if clock == "paired":
        paired = evaluations.paired
        return np.full(len(evaluations), math.inf) if paired is None else paired
    return evaluations.wall_s if clock == "wall" else evaluations.cpu_s


def values(evaluations: Sequence[Evaluation], metric: str) -> np.ndarray:
    """The values of a metric, NaN where an evaluation has none."""
    if not isinstance(evaluations, Evaluations):
        series = [one.metrics.get(metric, math.nan) for one in evaluations]
        return np.array(series, dtype=float)
    none = np.full(len(evaluations), math.nan)
    return np.asarray(evaluations.metrics.get(metric, none))


def metrics_of(evaluations: Sequence[Evaluation]) -> list[str]:
    """The names of the metrics that any of the evaluations has."""
    if isinstance(evaluations, Evaluations):
        return list(evaluations.metrics)
    return list(dict.fromkeys(name for one in evaluations for name in one.metrics))


def present(evaluations: Sequence[Evaluation], metric: str) -> np.ndarray:
    """Which of the evaluations have a metric, be its value NaN."""
    if not isinstance(evaluations, Evaluations):
        return np.array([metric in one.metrics for one in evaluations], dtype=bool)
    everywhere = np.full(len(evaluations), metric in evaluations.metrics)
    return evaluations.present.get(metric, everywhere)


def within(header: Header, evaluations: Sequence[Evaluation]) -> np.ndarray:
    """Whether each evaluation lies within the budget: of steps, and of the official clock."""
    clock, budget = header.clock, header.budget
    most = {"steps": None, "paired": budget.reference_steps}.get(clock, budget.seconds)
    inside = readings(evaluations, "steps") <= budget.steps
    return inside if most is None else inside & (readings(evaluations, clock) <= most)


def parse(lines: Sequence[bytes]) -> Evaluations | None:
    """The evaluations in some lines; None where they are not all plain and of one kind."""
    import pydantic_core

    try:
        text = b",".join(lines)
        rows = pydantic_core.from_json(b"[" + text + b"]", cache_strings="keys")
        names = ["kind", "steps", "wall_s", "cpu_s", "metrics"]
        names += ["paired"] if "paired" in rows[0] else []
        columns = _transposed(rows, names)
        metrics = columns.pop("metrics")
        judged, present = _metrics(metrics)
        if text.count(b'":') != len(lines) * len(names) + sum(map(len, metrics)):
            return None  # a key stands twice in a line
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    steps, kinds = columns.pop("steps"), columns.pop("kind")
    times = {name: _reals(column, low=0.0) for name, column in columns.items()}
    measured = {name: _reals(column) for name, column in judged.items()}
    counted = set(map(type, steps)) == {int} and min(steps) >= 0 and max(steps) <= LARGEST
    known = counted and len(rows) == len(lines) and set(kinds) == {"eval"}
    if not known or any(column is None for column in (*times.values(), *measured.values())):
        return None
    series = {name: column for name, column in measured.items() if column is not None}
    if not all(is_name(name) and ranges.hold(name, series[name]) for name in series):
        return None
    wall_s, cpu_s = times["wall_s"], times["cpu_s"]
    assert wall_s is not None
    assert cpu_s is not None
    return Evaluations(
        np.array(steps),
        wall_s,
        cpu_s,
        times.get("paired"),
        series,
        present,
    )


def _metrics(
    rows: Sequence[Facts],
) -> tuple[dict[str, Sequence[Any]], dict[str, np.ndarray]]:
    """Their columns by name, and of those that some rows lack, which have it.

    Raises:
        AttributeError: one is no mapping.
    """
    names = list(rows[0].keys())
    if set(map(len, rows)) == {len(names)}:
        with contextlib.suppress(KeyError):
            return _transposed(rows, names), {}
    names = list(dict.fromkeys(name for row in rows for name in row.keys()))  # noqa: SIM118
    columns: dict[str, Sequence[Any]] = {
        name: [row.get(name, math.nan) for row in rows] for name in names
    }
    has = {name: np.array([name in row for row in rows]) for name in names}
    return columns, {name: present for name, present in has.items() if not present.all()}


def _transposed(rows: Sequence[Facts], names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Columns by name, of rows that have exactly these names.

    Raises:
        KeyError: one lacks a name.
        ValueError: one has another name, or there is none.
    """
    if set(map(len, rows)) != {len(names)}:
        raise ValueError("other keys")
    got = operator.itemgetter(*names)
    columns: Iterable[Sequence[Any]] = (
        zip(*map(got, rows), strict=True) if len(names) > 1 else [list(map(got, rows))]
    )
    return dict(zip(names, columns, strict=True))


def _reals(column: Sequence[object], low: float = -math.inf) -> np.ndarray | None:
    """The column as numbers; None where one is no number, or not from `low` to the largest."""
    kinds = set(map(type, column))
    if str in kinds:
        column = [NOT_FINITE.get(one, one) if type(one) is str else one for one in column]
        kinds = set(map(type, column))
    if not kinds <= {float, int}:
        return None
    try:
        numbers = np.array(column, dtype=float)
    except OverflowError:
        return None
    if int in kinds and (np.abs(numbers) >= LARGEST).any():
        return None  # rounded to it, one may be beyond it
    bounded = low == -math.inf or bool(((numbers >= low) & (numbers <= LATEST)).all())
    return numbers if bounded else None
