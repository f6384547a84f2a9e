"""The reference's steps to the target on fresh seeds: read from a procedure's log, or measured.

On the paired clock time is counted in the reference's steps, so that these numbers are all that a
race there is compared to, on any machine.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import math
import statistics
from collections.abc import Mapping, Sequence

import workloads
from cluster.hardware import fingerprint, versions
from cluster.node_data import fetch_once
from cluster.run_lock import drive_throughout
from scoring.ground.words import Facts, Framework
from suite.targets.procedure import FRESH
from suite.targets.stages import BUDGET_FACTOR, Candidate, Settings, Stages
from suite.targets.statistics import first_meeting
from suite.targets.write import Result, adopted_folder, write_result
from workloads.config import Race
from workloads.errors import WorkloadError


@dataclasses.dataclass(frozen=True)
class Measured:
    """Steps to the target, a seed each, and the digest of the data they were measured on.

    Infinite where a seed missed the target.
    """

    steps: list[float]
    data: str = ""


Steps = Mapping[Framework, Measured]
MOST_MISSED = 0.1
"""The share of fresh seeds on which a reference may miss its target."""
MEASURED = "reference_steps"
"""The log's key for steps that were measured after the target was set."""


def logged_steps(id: str) -> Steps:
    """What the log of the procedure that set the target tells.

    Raises:
        WorkloadError: no log, or one of another version of the workload.
    """
    workload = workloads.get(id)
    race, log = _race(id), workloads.family(workload.id.family).procedure(workload.id)
    again = f"measure them: gradathlon reference-steps {id} --measure"
    if log is None:
        raise WorkloadError(f"{id}: its target has no log with steps; {again}")
    if (measured := log.get(MEASURED, {})).get("workload") == id:
        data = measured.get("data_sha256", {})
        return {
            name: Measured(list(steps), data.get(name, ""))
            for name, steps in measured["steps"].items()
        }
    if id not in log["command"].split():
        raise WorkloadError(f"{id}: its log is from another version ({log['command']}); {again}")
    return {
        framework: Measured(
            list(log["fresh"][reference.submission]["steps"]), log.get("data_sha256", "")
        )
        for framework, reference in race.reference.items()
        if reference.submission in log["fresh"]  # a framework may have been left out
    }


def see_that_it_can_be(id: str, *, adopt: bool) -> None:
    """Before hours of racing: that there is a target, and where its steps are to be put.

    Raises:
        WorkloadError: there is none, or they cannot be put into an installed package.
    """
    _race(id)
    if adopt:
        adopted_folder(workloads.get(id).id)


def measure(settings: Settings, frameworks: Sequence[Framework], seeds: int) -> tuple[Steps, Facts]:
    """Race the reference on fresh seeds; the steps, and what to log of them.

    Raises:
        WorkloadError: a trial failed, or was raced on other data.
    """
    workload, race = workloads.get(settings.workload), _race(settings.workload)
    fetch_once(workload)
    stages = Stages(settings, workload)
    # A seed may meet its target after the horizon, and has to hold it then.
    length = stages.length + (stages.horizon // 2 if stages.metric.held else 0)
    crossings: dict[Framework, Measured] = {}
    with drive_throughout(settings.folder, settings.say):
        for framework in frameworks:
            point = dict(race.reference[framework].hyperparameters)
            candidate = Candidate(race.reference["torch"].submission, 0, point)
            entries = [(candidate, FRESH + seed) for seed in range(seeds)]
            curves = stages.race(f"fresh seeds, {framework}", entries, length, framework)
            hits = [first_meeting(stages.metric, curves[one], race.target)[0] for one in entries]
            crossings[framework] = Measured(hits, stages.data)
    hardware = fingerprint(settings.resources)
    log = {
        "workload": settings.workload,
        **_told(crossings),
        "missed": {name: sum(map(math.isinf, one.steps)) for name, one in crossings.items()},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "hardware": {key: hardware[key] for key in ("cpu", "simd", "cores", "digest")},
        "versions": versions(),
    }
    return crossings, log


def adopt(id: str, steps: Steps, measured_log: Facts | None = None) -> None:
    """Put the steps into the target's file in this checkout, and what was measured into its log.

    Seeds that missed the target are left out.

    Raises:
        WorkloadError: more than a tenth of the seeds missed the target; an installed package, or
            a folder that cannot be written.
    """
    workload, race = workloads.get(id), _race(id)
    for framework, one in steps.items():
        missed = sum(map(math.isinf, one.steps))
        if missed > MOST_MISSED * len(one.steps):
            raise WorkloadError(
                f"{id}: not adopted: the reference in {framework} missed the target on {missed} of "
                f"{len(one.steps)} fresh seeds; set another: gradathlon set-targets {id}"
            )
    steps = {
        framework: dataclasses.replace(one, steps=list(filter(math.isfinite, one.steps)))
        for framework, one in steps.items()
    }
    log = dict(workloads.family(workload.id.family).procedure(workload.id) or {})
    if measured_log is not None:
        log[MEASURED] = {**measured_log, **_told({**_steps_before(id), **steps})}
    reference = {
        framework: one.model_copy(update=dataclasses.asdict(steps[framework]))
        if framework in steps
        else one
        for framework, one in race.reference.items()
    }
    slowest = max(statistics.median(one.steps) for one in reference.values() if one.steps)
    # What takes up to four times as long scores something, and must not run out of budget.
    least = max(race.budget.steps, math.ceil(BUDGET_FACTOR * slowest))
    budget = race.budget.model_copy(update={"steps": least})
    changed = race.model_copy(update={"budget": budget, "reference": reference})
    folder = adopted_folder(workload.id)
    before = (folder / f"{workload.id.race}.yaml").read_text(encoding="utf-8").splitlines(True)
    remark = "".join(itertools.takewhile(lambda line: line.startswith("#"), before))
    write_result(folder, workload.id, Result(changed, log), remark)


def _told(steps: Steps) -> Facts:
    """For the log."""
    return {
        "steps": {framework: one.steps for framework, one in steps.items()},
        "data_sha256": {framework: one.data for framework, one in steps.items()},
    }


def _steps_before(id: str) -> Steps:
    try:
        return logged_steps(id)
    except WorkloadError:  # the log is of another version
        return {}


def _race(id: str) -> Race:
    race = workloads.get(id).race
    if race is None:
        raise WorkloadError(f"{id} has no target yet; set one with: gradathlon set-targets {id}")
    return race
