"""What a calibration is asked for, and the candidates that this makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import pydantic

from scoring.ground.documents import ConfigError
from scoring.ground.words import Clock, Point
from scoring.run_file import MOST
from submissions.source import Source, find
from submissions.space import Range, SearchSpace
from suite.calibration.begun import Begun
from suite.config import NamedSuite
from suite.tuning import rounded, unit_points, without_value

TunedClock = Literal["paired", "steps"]
"""Clocks on which the reference's time is known without racing it."""


class Order(Begun):
    """All that decides which trials a calibration races.

    Attributes:
        suite: the suite's name, or the workload's where there is but one.
        workloads: in the order in which the ladder adds them.
        points: candidates in all, the defaults among them.
        finalists: how many of them meet the fresh seeds.
        seeds: fresh seeds of each finalist on each workload.
        defaults: whether the defaults meet the fresh seeds in any case.
        clock: what time is counted on.
        budget_factor: a trial's share of the workload's budget.
        prune: `exact` ends what can no longer be kept; `forecast` also what its learning curve
            says will miss its target.
        seed: what all points and seeds derive from.
        cores: that a trial holds.
        gpus: that a trial holds.
    """

    file: ClassVar[str] = "calibration.yaml"
    procedure: ClassVar[str] = "calibration"

    suite: str
    workloads: list[str] = pydantic.Field(min_length=1, max_length=MOST)
    points: int = pydantic.Field(gt=0, le=MOST)
    finalists: int = pydantic.Field(gt=0, le=MOST)
    seeds: int = pydantic.Field(gt=0, lt=MOST)
    defaults: bool
    clock: TunedClock
    budget_factor: float = pydantic.Field(1.0, gt=0, le=1000)
    prune: Literal["exact", "forecast"] = "exact"
    seed: int = pydantic.Field(ge=0, lt=2**63)
    cores: int = pydantic.Field(gt=0, le=MOST)
    gpus: int = pydantic.Field(ge=0, le=MOST)


DEFAULTS: Mapping[str, object] = {"points": 16, "finalists": 3, "seeds": 3, "defaults": False}


def new(word: str, named: NamedSuite, options: Mapping[str, object]) -> Order:
    """The order of a new calibration; what is not given is the suite's, or `DEFAULTS`."""
    suite = named.suite
    own = {
        "clock": tuned_clock(suite.clock),
        "budget_factor": 1.0 if suite.budget_factor is None else suite.budget_factor,
        "seed": suite.seed,
        "cores": suite.resources.cores,
        "gpus": suite.resources.gpus,
    }
    settings = {
        key: value for key, value in options.items() if value is not None and key != "suite"
    }
    fixed = {
        "submission": word,
        "sha256": find(word).sha256,
        "suite": named.name,
        "workloads": list(suite.workloads),
    }
    return Order.model_validate({**DEFAULTS, **own, **settings, **fixed})


def tuned_clock(clock: Clock) -> TunedClock:
    """The clock that a calibration for a suite on `clock` counts on."""
    return "steps" if clock == "steps" else "paired"


def candidates(source: Source, order: Order) -> list[Point]:
    """The defaults, where there are any, and quasi-random points of the search space.

    Of a space that is a list of points, those in their order.

    Raises:
        ConfigError: the submission has no search space.
    """
    space = source.space
    if space is None:
        raise ConfigError(
            f"{source.origin}: {source.name} has no SEARCH_SPACE, so there is nothing to "
            "calibrate; add one, or race its defaults"
        )
    if space.points is not None:
        return [dict(point) for point in space.points[: order.points]]
    first: list[Point] = [] if without_value(source, {}) else [{}]
    cube = unit_points(len(space.names), order.points, "calibrate", order.seed)
    drawn = [_within(space, space.at(u)) for u in cube]
    return [*first, *drawn][: order.points]


def _within(space: SearchSpace, point: Point) -> Point:
    """The point to four digits, but for values that this would take out of their range."""
    short = rounded(point)
    for name, dimension in space.dimensions.items():
        value = short[name]
        if isinstance(dimension, Range) and isinstance(value, float):
            inside = dimension.low <= value <= dimension.high
            short[name] = value if inside else point[name]
    return short
