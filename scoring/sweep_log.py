"""Reads the log of `gradathlon sweep`, `DIR/sweep.json`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pydantic

from scoring.ground.files import FileError, read_text
from scoring.ground.words import Goal
from scoring.records import RecordError
from scoring.sensitivity import Sweep

ORDER, LOG = "sweep.yaml", "sweep.json"
"""In its folder: the order and the results."""
OTHER_SIZE = 1.1
"""The least ratio of sizes at which workloads are plotted against their size."""


@dataclasses.dataclass(frozen=True)
class SweepLog:
    """A finished sweep.

    Attributes:
        submission: what was trained.
        parameter: the hyperparameter that was swept.
        log: whether its values are equally far apart in their logarithm.
        fixed: the other hyperparameters that were given.
        core_hours: that it took.
        sweeps: what came out, a workload each.
    """

    submission: str
    parameter: str
    log: bool
    fixed: Mapping[str, object]
    core_hours: float
    sweeps: tuple[Sweep, ...]

    @property
    def has_sizes(self) -> bool:
        """Whether its workloads can be drawn against their sizes."""
        return have_sizes(self.sweeps)


def have_sizes(sweeps: Sequence[Sweep]) -> bool:
    """Whether workloads differ so much in size that they can be drawn against it."""
    sizes = [sweep.size for sweep in sweeps]
    return max(sizes) > OTHER_SIZE * min(sizes)


class _Read(pydantic.BaseModel):
    """The parts of the log that a page needs; the rest is ignored."""

    model_config = pydantic.ConfigDict(frozen=True, allow_inf_nan=False)


class _Order(_Read):
    submission: str
    parameter: str
    scaling: str
    fixed: dict[str, object]


class _Workload(_Read):
    workload: str
    weights: int = pydantic.Field(gt=0)
    metric: str
    goal: Goal
    values: tuple[float, ...] = pydantic.Field(min_length=2)
    finals: tuple[tuple[float | None, ...], ...] = pydantic.Field(min_length=1)
    initial: tuple[float, ...]

    @pydantic.model_validator(mode="after")
    def _is_whole(self) -> _Workload:
        if len(self.initial) != len(self.finals):
            raise ValueError("initial and finals have different numbers of seeds")
        if any(len(row) != len(self.values) for row in self.finals):
            raise ValueError("finals and values have different lengths")
        return self


class _Log(_Read):
    order: _Order
    core_hours: float
    workloads: list[_Workload] = pydantic.Field(min_length=1)

    @pydantic.model_validator(mode="after")
    def _is_of_one_grid(self) -> _Log:
        first = self.workloads[0].values
        if any(one.values != first for one in self.workloads):
            raise ValueError("workloads have different values")
        if list(first) != sorted(first) or first[0] == first[-1]:
            raise ValueError("values do not increase")
        if self.order.scaling == "log" and first[0] <= 0:
            raise ValueError("values have no logarithm")
        return self


def is_sweep(folder: Path) -> bool:
    """Whether a folder holds a sweep, finished or not."""
    return (folder / ORDER).is_file()


def read_sweep(folder: Path) -> SweepLog:
    """The log of a finished sweep.

    Raises:
        RecordError: it is not finished, or the log is damaged.
    """
    path = folder / LOG
    try:
        read = _Log.model_validate_json(read_text(path))
    except FileNotFoundError:
        raise RecordError(
            f"{folder}: the sweep is not finished; continue it with gradathlon sweep ... --resume"
        ) from None
    except (FileError, OSError) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from None
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RecordError(f"{path}: not a sweep log ({where}: {first['msg']})") from None
    return SweepLog(
        submission=read.order.submission,
        parameter=read.order.parameter,
        log=read.order.scaling == "log",
        fixed=read.order.fixed,
        core_hours=read.core_hours,
        sweeps=tuple(map(_sweep, read.workloads)),
    )


def _sweep(read: _Workload) -> Sweep:
    return Sweep(
        workload=read.workload,
        size=read.weights,
        metric=read.metric,
        goal=read.goal,
        grid=read.values,
        finals=tuple(tuple(math.nan if v is None else v for v in row) for row in read.finals),
        initial=read.initial,
    )
