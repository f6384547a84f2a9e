"""Sweeping a hyperparameter over its range: every value trained to the end, on every workload.

No targets: a trial lasts for the workload's horizon, and its last value of the judged metric
counts. What training begins with is measured by a trial that changes no weight.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import pydantic

import workloads
from cluster.node_data import fetch_all
from cluster.spec import TrialSpec
from scoring.ground.documents import ConfigError
from scoring.ground.ends import ENDS
from scoring.ground.words import Budget, Point, Resources, Scalar
from scoring.records import Record
from scoring.run_file import MOST
from scoring.seeds import trial_seed
from scoring.sensitivity import Sweep
from scoring.sweep_log import ORDER
from submissions.source import Source, find, parse
from suite.calibration.begun import Begun
from suite.calibration.grid import Grid
from suite.trials import Place, core_hours, race, tell_failures
from workloads.contract import Workload

INITIAL = "initial"
"""The name of the submission that changes no weight."""
_STILL = '''"""Changes no weight: what training begins with."""
import torch


def submission(params):
    return torch.optim.SGD(params, lr=0.0)
'''
_LENIENCE = 10.0
"""Times a workload's provisional seconds before a trial is taken for hung."""


DEFAULTS: Mapping[str, object] = {"points": 7, "seeds": 2, "seed": 0, "cores": 1, "gpus": 0}


class SweepOrder(Begun):
    """What a sweep is asked for.

    Attributes:
        workloads: of one metric.
        parameter: the hyperparameter that is swept.
        low: the lower end of its range.
        high: the upper end.
        scaling: what the values are equally far apart in.
        points: values of it.
        seeds: of each value on each workload.
        steps: of a trial; None for each workload's horizon.
        fixed: other hyperparameters.
        seed: what all seeds derive from.
        cores: that a trial holds.
        gpus: that a trial holds.
    """

    file: ClassVar[str] = ORDER
    procedure: ClassVar[str] = "sweep"

    workloads: list[str] = pydantic.Field(min_length=1, max_length=MOST)
    parameter: str
    low: float
    high: float
    scaling: Literal["linear", "log"]
    points: int = pydantic.Field(gt=1, le=MOST)
    seeds: int = pydantic.Field(gt=0, le=MOST)
    steps: int | None = pydantic.Field(None, gt=0)
    fixed: dict[str, Scalar]
    seed: int = pydantic.Field(ge=0, lt=2**63)
    cores: int = pydantic.Field(gt=0, le=MOST)
    gpus: int = pydantic.Field(ge=0, le=MOST)

    @property
    def values(self) -> list[float]:
        """The values of the hyperparameter, ascending."""
        return Grid(self.parameter, self.low, self.high, self.scaling).values(self.points)


class Sweeping:
    """The trials of a sweep, in one folder.

    Raises:
        ConfigError: workloads of different metrics, or a hyperparameter that cannot be swept.
    """

    def __init__(
        self, order: SweepOrder, folder: Path, place: Place, say: Callable[[str], None]
    ) -> None:
        self.order, self.folder, self.place, self.say = order, folder, place, say
        self.source = find(order.submission)
        self.still = parse(INITIAL, _STILL, f"{INITIAL}.py")
        self.chosen = {id: workloads.get(id) for id in order.workloads}
        self.values = order.values
        self.records: list[Record] = []
        metrics = {workload.metric for workload in self.chosen.values()}
        if len(metrics) > 1:
            names = ", ".join(sorted(metric.key for metric in metrics))
            raise ConfigError(f"a sweep needs workloads with one metric; these have {names}")

    def run(self) -> list[Sweep]:
        """Race all that is left to race; what came out, a sweep a workload.

        Raises:
            ConfigError: every trial on some workload failed.
            ClusterError: the place to race cannot be had.
        """
        if self.place.address is None:
            fetch_all(self.order.workloads)
        order = self.order
        seeds, places = range(order.seeds), range(order.points)
        starts = {(id, s): self._still(id, s) for id in order.workloads for s in seeds}
        trials = {
            (id, s, k): self._trial(id, s, k)
            for s in seeds
            for k in places
            for id in order.workloads
        }
        self.say(f"{len(trials)} trials, and {len(starts)} that leave the weights unchanged")
        specs = [*starts.values(), *trials.values()]
        keys = [spec.key for spec in specs]
        records = dict(zip(keys, race(specs, self.place), strict=True))
        self.records = list(records.values())
        tell_failures(
            [records[spec.key] for spec in trials.values()],
            self.source.name,
            "count as diverged",
            self.say,
        )
        return [
            self._sweep(
                workload,
                [[records[trials[id, s, k].key] for k in places] for s in seeds],
                [records[starts[id, s].key] for s in seeds],
            )
            for id, workload in self.chosen.items()
        ]

    @property
    def core_hours(self) -> float:
        """What the trials held of cores."""
        return core_hours(self.records)

    def _sweep(
        self, workload: Workload, rows: Sequence[Sequence[Record]], starts: Sequence[Record]
    ) -> Sweep:
        metric = workload.metric
        initial = tuple(_last(record, metric.key) for record in starts)
        if not all(map(math.isfinite, initial)):
            raise ConfigError(f"{starts[0].path}: has no finite {metric.key} before training")
        return Sweep(
            workload=str(workload.id),
            size=workload.size,
            metric=metric.key,
            goal=metric.goal,
            grid=tuple(self.values),
            finals=tuple(tuple(_last(one, metric.key) for one in row) for row in rows),
            initial=initial,
        )

    def _still(self, id: str, seed: int) -> TrialSpec:
        settings, metric = self.chosen[id].settings, self.chosen[id].metric
        return self._spec(id, self.still, {}, (seed, 0), settings.evaluation_period * metric.window)

    def _trial(self, id: str, seed: int, place: int) -> TrialSpec:
        point = {**self.order.fixed, self.order.parameter: self.values[place]}
        steps = self.order.steps or self.chosen[id].settings.step_hint
        return self._spec(id, self.source, point, (seed, place), steps)

    def _spec(
        self, id: str, source: Source, point: Point, at: tuple[int, int], steps: int
    ) -> TrialSpec:
        study, trial = at
        return TrialSpec(
            run=self.folder,
            workload=id,
            submission=source.name,
            source=source,
            hyperparameters=point,
            study=study,
            trial=trial,
            seed=trial_seed(self.order.seed, id, study, 0),
            target=None,
            budget=Budget(steps, _LENIENCE * self.chosen[id].settings.provisional_budget.seconds),
            clock="steps",
            resources=Resources(self.order.cores, self.order.gpus),
            ruleset="try",
        )


def log_of(sweeps: Sequence[Sweep], order: SweepOrder, hours: float) -> str:
    """All that was measured, as JSON; null where training diverged."""
    body = {
        "order": order.told,
        "core_hours": round(hours, 6),
        "workloads": [_logged(sweep) for sweep in sweeps],
    }
    return json.dumps(body, indent=1, allow_nan=False) + "\n"


def _logged(sweep: Sweep) -> Mapping[str, object]:
    return {
        "workload": sweep.workload,
        "weights": sweep.size,
        "metric": sweep.metric,
        "goal": sweep.goal,
        "values": sweep.grid,
        "finals": [[v if math.isfinite(v) else None for v in row] for row in sweep.finals],
        "initial": sweep.initial,
        "sensitivities": sweep.sensitivities,
        "sensitivity": sweep.sensitivity,
    }


def _last(record: Record, key: str) -> float:
    """The last judged value; NaN where training broke or came to no value."""
    if record.outcome is None or ENDS[record.outcome.end].broken:
        return math.nan
    values = [line.metrics[key] for line in record.evaluations if key in line.metrics]
    return values[-1] if values else math.nan
