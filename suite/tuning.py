"""Hyperparameter points: what each trial is given, drawn from the suite's one seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from scoring.ground.words import Point, Scalar
from scoring.seeds import derive_seed

if TYPE_CHECKING:
    from submissions.source import Source


def unit_points(dimensions: int, count: int, *parts: int | str) -> list[list[float]]:
    """`count` quasi-random points of the unit cube [0, 1)^`dimensions`, a row each.

    A scrambled Halton sequence (Owen, "A randomized Halton algorithm in R", 2017) whose scrambling
    is drawn from `parts`.
    """
    from scipy.stats import qmc

    sampler = qmc.Halton(dimensions, scramble=True, rng=derive_seed("points", *parts))
    return [[float(value) for value in row] for row in sampler.random(count)]


def tuned_points(source: Source, studies: int, trials: int, seed: int) -> list[list[Point]]:
    """The points of external tuning, by study and trial, drawn from the submission's search space.

    Submissions with as many dimensions get the same points of the unit cube. A list of points is
    tried in its order in every study, and ends the study early; without a search space there is
    one trial a study, with the defaults, since further ones would repeat it.
    """
    space = source.space
    if space is None:
        return [[{}] for _ in range(studies)]
    if space.points is not None:
        return [[dict(point) for point in space.points[:trials]] for _ in range(studies)]
    count = len(space.names)
    return [
        [space.at(u) for u in unit_points(count, trials, seed, study)] for study in range(studies)
    ]


def rounded(point: Mapping[str, Scalar]) -> Point:
    """The point to four significant digits, so that what is published is the very one that ran."""
    return {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in point.items()
    }


def with_defaults(source: Source, point: Mapping[str, Scalar]) -> Point:
    """All that the record should tell: the file's plain defaults, overruled by `point`.

    Defaults that YAML and JSON would not give back as they were (a tuple) stay in the file.
    """
    defaults: Point = {n: v for n, v in source.defaults.items() if isinstance(v, Scalar)}
    return {**defaults, **point}


def without_value(source: Source, point: Mapping[str, object]) -> Sequence[str]:
    """The hyperparameters that neither `point` nor the file's defaults give a value."""
    names = {*point, *source.defaults}
    return [name for name in source.hyperparameters if name not in names]
