"""Checks a run's records against themselves and against its plan.

A record that cannot be, that is of another race than `run.yaml` planned, or of other data than the
rest, is left out and told; it touches no other. What was planned and has no record is missing. Both
count as missed.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterator
from pathlib import Path

from scoring import run_file
from scoring.agreement import aim, odd_ones
from scoring.ground.words import Budget, Framework, TrialKey, is_reference, reference_of
from scoring.index import Index
from scoring.profiles import TAU_MAX
from scoring.records import Record, RecordError, check_is_run, key_of, read_placed, record_files
from scoring.run_file import Course, Plan, RunFile
from scoring.seeds import trial_seed


@dataclasses.dataclass(frozen=True)
class Refused:
    """An excluded record: its trial, and one line with file, line and reason."""

    key: TrialKey
    reason: str


@dataclasses.dataclass(frozen=True)
class Claims:
    """What a run holds.

    Attributes:
        run: its folder.
        plan: its `run.yaml`, None where it has none.
        records: those that can be believed, in a fixed order.
        refused: those that are left out.
        missing: the trials that were planned and have no record at all.
    """

    run: Path
    plan: RunFile | None
    records: list[Record]
    refused: list[Refused]
    missing: list[TrialKey]


def read_claims(run: Path, *, afresh: bool = False) -> Claims:
    """Read a run, leaving out what is wrong with it; `afresh` believes no index.

    Raises:
        RecordError: not a run folder.
        ConfigError: its `run.yaml` is damaged.
    """
    check_is_run(run)
    plan = run_file.read(run)
    index = None if afresh else Index(run)
    read = index.read if index else read_placed
    records, refused = [], []
    for path in record_files(run):
        try:
            record = read(path)
            if plan is not None:
                _check_planned(record, plan)
        except RecordError as error:
            refused.append(Refused(key_of(path), str(error)))
        else:
            records.append(record)
    if index:
        index.save()
    odd = {one.header.key: reason for one, reason in odd_ones(records)}
    refused += [Refused(key, reason) for key, reason in odd.items()]
    records = [record for record in records if record.header.key not in odd]
    seen = {record.header.key for record in records} | {one.key for one in refused}
    planned = planned_trials(plan) if plan else iter(())
    return Claims(run, plan, records, refused, [key for key in planned if key not in seen])


def planned_trials(plan: RunFile) -> Iterator[TrialKey]:
    """Every planned trial; one per study for a reference."""
    for workload, course in plan.workloads.items():
        for framework, reference in course.references.items():
            for study in range(plan.suite.studies if reference.raced else 0):
                yield TrialKey(workload, reference_of(framework), study, 0)
        for name, entrant in plan.submissions.items():
            for study, points in enumerate(entrant.on(workload)):
                for trial in range(min(len(points), plan.suite.trials)):
                    yield TrialKey(workload, name, study, trial)


BACKSTOP = 4
"""On the paired clock a trial may make so many times the steps of its limit in reference steps."""


def budget_of(plan: Plan, workload: str, submission: str, framework: Framework) -> Budget:
    """What a plan gives a submission's trials on a workload; a reference has the workload's own."""
    course = plan.workloads[workload]
    factor = 1.0 if is_reference(submission) else plan.suite.factor
    steps = max(1, round(course.budget.steps * factor))
    seconds = course.budget.seconds * factor
    if plan.suite.clock != "paired":
        return Budget(steps, seconds)
    reference = course.references.get(framework)
    if reference is None or not reference.steps:
        # A workload's budget is four times the reference's median steps, too, in round numbers.
        return Budget(steps * BACKSTOP, seconds, reference_steps=float(steps))
    # What takes longer scores nothing. Steps may be cheaper than the reference's, and are a far
    # backstop.
    limit = TAU_MAX * statistics.median(reference.steps) * min(1.0, factor)
    return Budget(steps * BACKSTOP, seconds, reference_steps=limit)


def _check_planned(record: Record, plan: RunFile) -> None:
    """Refuse a record whose race differs from the plan of its workload."""
    header = record.header
    course = plan.workloads.get(header.workload)
    if course is None:
        return
    target = course.target.target()
    if header.target != target:
        raise _contradiction(record, "target", aim(header.target), aim(target))
    budget = budget_of(plan, header.workload, header.submission, header.framework)
    same = math.isclose(header.budget.seconds, budget.seconds, rel_tol=1e-9)
    limits = (header.budget.steps, header.budget.reference_steps)
    if limits != (budget.steps, budget.reference_steps) or not same:
        raise _contradiction(record, "budget", _text(header.budget), _text(budget))
    seed = trial_seed(plan.suite.seed, header.workload, header.study, header.trial)
    claims_made = {
        "clock": (header.clock, plan.suite.clock),
        # A reference races at points of its own, whatever the ruleset.
        "ruleset": (header.ruleset, "" if is_reference(header.submission) else plan.suite.ruleset),
        "seed": (str(header.seed), str(seed)),
        "settings_sha256": (header.settings_sha256, course.settings_sha256),
    }
    for what, (claim, planned) in claims_made.items():
        if planned and claim != planned:
            raise _contradiction(record, what, claim, planned)
    if header.study >= plan.suite.studies:
        raise _contradiction(record, "study", str(header.study), f"{plan.suite.studies} studies")
    _check_entry(record, plan, course)


def _check_entry(record: Record, plan: RunFile, course: Course) -> None:
    """Refuse a record whose algorithm or point differs from the plan."""
    header = record.header
    entrant = plan.submissions.get(header.submission)
    reference = course.references.get(header.framework)
    if entrant is not None:
        studies = entrant.on(header.workload)
        points = studies[header.study] if header.study < len(studies) else []
        if header.trial >= len(points):
            planned = f"{len(points)} trials in study {header.study}"
            raise _contradiction(record, "trial", str(header.trial), planned)
        file, point = entrant.file, points[header.trial]
    elif reference is not None and is_reference(header.submission):
        if header.trial:
            raise _contradiction(record, "trial", str(header.trial), "1 trial a study")
        file, point = reference.file, reference.hyperparameters
    else:
        return
    text = plan.texts.get(file)
    if text is not None and header.source_sha256 != text.sha256:
        raise _contradiction(record, "source_sha256", header.source_sha256, text.sha256)
    for name, value in point.items():
        claimed = header.hyperparameters.get(name)
        if claimed != value:
            raise _contradiction(record, f"hyperparameters.{name}", f"{claimed}", f"{value}")


def _contradiction(record: Record, what: str, claim: str, planned: str) -> RecordError:
    return RecordError(
        f"{record.path}:1: {what}: {claim}, but {run_file.NAME} planned {planned}; "
        "only trials that ran as planned are scored"
    )


def _text(budget: Budget) -> str:
    most = budget.reference_steps
    paired = "" if most is None else f" and {most:.12g} reference steps"
    return f"{budget.steps} steps and {budget.seconds:.12g} s{paired}"
