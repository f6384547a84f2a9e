"""What a calibration was asked for, kept in its folder so that it goes on as it was begun."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml

from scoring.ground.documents import ConfigError, Model, read_yaml
from scoring.ground.words import Clock, Point
from scoring.run_file import MOST
from submissions.source import Source, find
from submissions.space import Range, SearchSpace
from suite.config import NamedSuite
from suite.tuning import rounded, unit_points, without_value

NAME = "calibration.yaml"
TunedClock = Literal["paired", "steps"]
"""Clocks on which the reference's time is known without racing it."""


class Order(Model):
    """All that decides which trials a calibration races.

    Attributes:
        submission: the word that found it.
        sha256: of its text.
        suite: the suite's name, or the workload's where there is but one.
        workloads: in the order in which the ladder adds them.
        points: candidates in all, the defaults among them.
        finalists: how many of them meet the fresh seeds.
        seeds: fresh seeds of each finalist on each workload.
        defaults: whether the defaults meet the fresh seeds in any case.
        clock: what time is counted on.
        seed: what all points and seeds derive from.
        cores: that a trial holds.
        gpus: that a trial holds.
    """

    format: Literal[1] = 1
    submission: str
    sha256: str
    suite: str
    workloads: list[str] = pydantic.Field(min_length=1, max_length=MOST)
    points: int = pydantic.Field(gt=0, le=MOST)
    finalists: int = pydantic.Field(gt=0, le=MOST)
    seeds: int = pydantic.Field(gt=0, lt=MOST)
    defaults: bool
    clock: TunedClock
    seed: int = pydantic.Field(ge=0, lt=2**63)
    cores: int = pydantic.Field(gt=0, le=MOST)
    gpus: int = pydantic.Field(ge=0, le=MOST)


DEFAULTS: Mapping[str, Any] = {"points": 16, "finalists": 3, "seeds": 3, "defaults": False}


def new(word: str, named: NamedSuite, given: Mapping[str, Any]) -> Order:
    """The order of a new calibration; what is not given is the suite's, or `DEFAULTS`."""
    suite = named.suite
    own = {
        "clock": tuned_clock(suite.clock),
        "seed": suite.seed,
        "cores": suite.resources.cores,
        "gpus": suite.resources.gpus,
    }
    stated = {key: value for key, value in given.items() if value is not None and key != "suite"}
    fixed = {
        "submission": word,
        "sha256": find(word).sha256,
        "suite": named.name,
        "workloads": list(suite.workloads),
    }
    return Order.model_validate({**DEFAULTS, **own, **stated, **fixed})


def tuned_clock(clock: Clock) -> TunedClock:
    """The clock that a calibration for a suite on `clock` counts on."""
    return "steps" if clock == "steps" else "paired"


def keep(order: Order, folder: Path) -> None:
    """Write the order into its folder.

    Raises:
        ConfigError: the folder holds trials already, or cannot be written.
    """
    try:
        if (folder / "trials").exists() or (folder / NAME).exists():
            raise ConfigError(
                f"{folder} already holds trials; go on with them: add --resume, or name another "
                "folder with -o"
            )
        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / f"{NAME}.part"
        scratch.write_text(yaml.safe_dump(order.model_dump(), sort_keys=False), encoding="utf-8")
        os.replace(scratch, folder / NAME)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror or error}") from None


def resumed(word: str, given: Mapping[str, Any], folder: Path) -> Order:
    """The order that the calibration in `folder` was begun with.

    Raises:
        ConfigError: there is none, or it is of something else than is asked for now.
    """
    if not (folder / NAME).exists():
        raise ConfigError(f"{folder} holds no calibration to resume: it has no {NAME}")
    order = read_yaml(folder / NAME, Order)
    stated = {"submission": word, **{key: v for key, v in given.items() if v is not None}}
    for key, value in stated.items():
        begun = getattr(order, key)
        if value != begun:
            raise ConfigError(
                f"{key} {value}: the calibration in {folder} was begun with {begun}, and goes on "
                "as it was begun; leave it out, or begin another with -o"
            )
    if find(word).sha256 != order.sha256:
        raise ConfigError(
            f"{word}: changed since the calibration in {folder} began; put the old text back, or "
            "begin another with -o"
        )
    return order


def candidates(source: Source, order: Order) -> list[Point]:
    """The defaults, where there are any, and quasi-random points of the search space.

    Of a space that is a list of points, those in their order.

    Raises:
        ConfigError: the submission has no search space.
    """
    space = source.space
    if space is None:
        raise ConfigError(
            f"{source.origin}: {source.name} has no SEARCH_SPACE, so that there is nothing to "
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
