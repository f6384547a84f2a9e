"""The plan of a run: every trial that a suite asks for, decided before the first one starts."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import workloads
from cluster.spec import Pace, TrialSpec
from scoring.bootstrap import FEW
from scoring.claims import budget_of
from scoring.ground.clocks import CLOCKS
from scoring.ground.documents import ConfigError
from scoring.ground.errors import nearest
from scoring.ground.files import from_home
from scoring.ground.words import Framework, Point, TrialKey, is_reference, reference_of
from scoring.run_file import Course, Entrant, Plan, ReferenceEntrant, Suite, TargetText, Text
from scoring.seeds import trial_seed
from submissions.source import Source, find
from suite.config import NamedSuite
from suite.races import Race, race_of
from suite.tuning import tuned_points, with_defaults, without_value
from workloads.contract import Workload

_Note = tuple[str, str]
"""Whom or what a remark is about, and the remark."""
_NO_TARGET = (
    "no target: metrics are compared at equal budget and do not count towards scores (add one "
    "under `targets`, or: gradathlon set-targets WORKLOAD)"
)


@dataclasses.dataclass(frozen=True)
class Planned:
    """A plan, the sources of its texts by file name, and remarks on what was planned otherwise."""

    plan: Plan
    sources: Mapping[str, Source]
    notes: tuple[str, ...] = ()

    def specs(self, run: Path) -> list[TrialSpec]:
        """Every trial, into the folder `run`; the references of a study come first."""
        return list(_specs(self, Path(os.path.realpath(run))))


def make_plan(
    named: NamedSuite, *, reference: bool = True, race_reference: bool = False
) -> Planned:
    """Decide every trial of a suite: points, seeds, budgets, and the references to race beside.

    On the paired clock and in steps a reference whose steps ship with the target, measured on data
    that are this machine's too, is only raced when asked for; without `reference` no other is
    planned.

    Raises:
        ConfigError: a workload without a reference, or submissions that cannot be told apart.
        WorkloadError: an unknown workload, or damaged data.
        SubmissionError: a submission that cannot race.
    """
    suite = named.suite
    entered = _find_all(suite.submissions)
    raced = {id: workloads.get(id) for id in suite.workloads}
    _check_ranks(suite, raced)
    _check_labels(entered, raced)
    sources = {f"{name}.py": source for name, source in entered.items()}
    courses: dict[str, Course] = {}
    frameworks = sorted({source.framework for source in entered.values()})
    notes = [note for source in entered.values() for note in _notes(source, suite)]
    for id, workload in raced.items():
        race = race_of(workload, suite.targets.get(id))
        ships = not CLOCKS[suite.clock].of_hardware and race.target is not None
        wanted = frameworks if reference else _shipped(race, frameworks) if ships else []
        references, sources_here = _references(id, race, wanted)
        spared = ships and not (reference and race_reference)
        courses[id] = _course(workload, race, references, spared)
        sources.update(sources_here)
        notes += _foreign_notes(id, race, frameworks, reference) if ships else ()
        if race.target is None:
            notes.append((id, _NO_TARGET))
    plan = Plan(
        name=named.name,
        suite=suite.model_copy(update={"submissions": list(map(from_home, suite.submissions))}),
        workloads=courses,
        submissions={name: _entrant(source, suite) for name, source in entered.items()},
        texts={
            # Wherever the run is resumed from, it may read what lies beside it.
            file: Text(
                name=source.name,
                origin=from_home(os.path.abspath(source.origin)),
                sha256=source.sha256,
            )
            for file, source in sources.items()
        },
    )
    return Planned(plan, sources, tuple(_together(notes)))


def _together(notes: Sequence[_Note]) -> Iterator[str]:
    """A line a remark, with all that it is about."""
    for remark in dict.fromkeys(remark for _, remark in notes):
        names = dict.fromkeys(name for name, told in notes if told == remark)
        yield f"{', '.join(names)}: {remark}"


def _entrant(source: Source, suite: Suite) -> Entrant:
    name = source.name
    return Entrant(
        file=f"{name}.py",
        points=_points(source, suite),
        points_on={
            id: _points(source, suite, by_name[name])
            for id, by_name in suite.points_on.items()
            if id in suite.workloads and name in by_name
        },
    )


def _check_ranks(suite: Suite, raced: Mapping[str, Workload]) -> None:
    ranks = suite.resources.ranks
    if ranks == 1:
        return
    where = f"resources.ranks: {ranks}:"
    if suite.clock in ("cpu", "paired"):
        raise ConfigError(
            f"{where} the {suite.clock} clock times one process; choose clock: wall or steps"
        )
    for id, workload in raced.items():
        size = workload.settings.batch_size
        if not workload.divisible:
            raise ConfigError(
                f"{where} {id}'s loss is not the mean over its examples, so ranks cannot "
                "share a batch; leave it out, or set ranks: 1"
            )
        if size % ranks:
            raise ConfigError(f"{where} {id}'s batch size {size} is not divisible by {ranks}")


def _check_labels(entered: Mapping[str, Source], raced: Mapping[str, Workload]) -> None:
    for name, source in entered.items():
        for id, workload in raced.items():
            if source.api == "algoperf" and not workload.supervised:
                raise ConfigError(
                    f"{name!r} is an AlgoPerf submission, which needs labelled examples, but "
                    f"{id} has none; leave out one of them (-s, -w)"
                )


def _find_all(words: list[str]) -> dict[str, Source]:
    sources: dict[str, Source] = {}
    for word in words:
        source = find(word)
        if source.name in sources:
            first = sources[source.name].origin
            raise ConfigError(
                f"two submissions are named {source.name!r}: {first} and {source.origin}; "
                "rename one of the files"
            )
        sources[source.name] = source
    return sources


def _shipped(race: Race, frameworks: list[Framework]) -> list[Framework]:
    """Those whose reference need not be raced: its steps ship with the target."""
    return [
        name
        for name in frameworks
        if name in race.references and len(race.references[name].steps) >= FEW
    ]


def _references(
    id: str, race: Race, frameworks: list[Framework]
) -> tuple[dict[Framework, ReferenceEntrant], dict[str, Source]]:
    entrants: dict[Framework, ReferenceEntrant] = {}
    sources: dict[str, Source] = {}
    for framework in frameworks:
        if framework not in race.references:
            raise ConfigError(
                f"workload {id} has no reference in {framework} yet; set one with: "
                f"gradathlon set-targets {id} (or race without: --no-reference)"
            )
        references = race.references[framework]
        source = find(references.submission)
        file = f"{reference_of(source.name)}.py"
        point = with_defaults(source, dict(references.hyperparameters))
        # So few seeds are no distribution: then it is raced.
        steps = [float(count) for count in references.steps if len(references.steps) >= FEW]
        entrants[framework] = ReferenceEntrant(
            file=file, hyperparameters=point, steps=steps, data=references.data if steps else ""
        )
        sources[file] = source
    return entrants, sources


def _course(
    workload: Workload,
    race: Race,
    references: dict[Framework, ReferenceEntrant],
    spared: bool,
) -> Course:
    if spared:
        references = {
            framework: one.model_copy(update={"raced": not one.steps})
            for framework, one in references.items()
        }
    return Course(
        target=TargetText.of(workload.metric.target(race.target)),
        budget=race.budget,
        references=references,
        settings_sha256=workload.settings_sha256,
    )


def _points(source: Source, suite: Suite, points: list[Point] | None = None) -> list[list[Point]]:
    fixed = suite.points.get(source.name) if points is None else points
    if fixed is not None:
        _refuse_unknown(source, fixed)
        studies = [list(fixed[: suite.trials]) for _ in range(suite.studies)]
    elif suite.ruleset == "external":
        studies = tuned_points(source, suite.studies, suite.trials, suite.seed)
    else:
        studies = [[{}] for _ in range(suite.studies)]
    for point in studies[0]:
        missing = without_value(source, point)
        if missing:
            raise ConfigError(
                f"{source.origin}: submission {source.name!r} has no default for "
                f"{', '.join(missing)}, and the suite sets no value; add a default"
            )
    return [[with_defaults(source, point) for point in study] for study in studies]


def _refuse_unknown(source: Source, points: list[Point]) -> None:
    for name in (name for point in points for name in point):
        if name not in source.hyperparameters:
            raise ConfigError(
                f"the suite's points of {source.name!r} set {name!r}, which {source.origin} does "
                f"not have{nearest(name, source.hyperparameters)}"
            )


def _notes(source: Source, suite: Suite) -> Iterator[_Note]:
    planned = len(_points(source, suite)[0])
    if suite.ruleset == "self" or planned == suite.trials:
        return
    if source.name in suite.points or source.space is not None:
        why = f"its list has {planned} point{'s' * (planned > 1)}"
    else:
        why = "it has no search space, so more trials would repeat its defaults"
    trials = "1 trial" if planned == 1 else f"{planned} trials"
    yield source.name, f"{trials} per study instead of {suite.trials}: {why}"


def _foreign_notes(
    id: str, race: Race, frameworks: list[Framework], reference: bool
) -> Iterator[_Note]:
    does = "is raced, within a budget set on other data" if reference else "would have to be raced"
    for why in dict.fromkeys(race.foreign[name] for name in frameworks if name in race.foreign):
        yield id, f"{why}, so the reference {does}"


def _specs(planned: Planned, run: Path) -> Iterator[TrialSpec]:
    suite = planned.plan.suite
    # The outer loops are those that a run cut short can do without.
    for study in range(suite.studies):
        for id, course in planned.plan.workloads.items():
            for framework, entrant in course.references.items():
                if not entrant.raced:
                    continue
                source = planned.sources[entrant.file]
                yield _spec(
                    planned, run, TrialKey(id, reference_of(framework), study, 0), source,
                    entrant.hyperparameters,
                )  # fmt: skip
        for trial in range(suite.trials):
            for id in planned.plan.workloads:
                for name, raced in planned.plan.submissions.items():
                    points = raced.on(id)[study]
                    if trial < len(points):
                        source = planned.sources[raced.file]
                        key = TrialKey(id, name, study, trial)
                        yield _spec(planned, run, key, source, points[trial])


def _spec(
    planned: Planned, run: Path, key: TrialKey, source: Source, point: Mapping[str, object]
) -> TrialSpec:
    id, name, study, trial = key
    course, suite = planned.plan.workloads[id], planned.plan.suite
    # A reference is what it is under any ruleset: tuned, within the workload's own budget.
    fixed = is_reference(name)
    budget = budget_of(planned.plan, id, name, source.framework)
    return TrialSpec(
        run=run,
        workload=id,
        submission=name,
        source=source,
        hyperparameters=dict(point),
        study=study,
        trial=trial,
        seed=trial_seed(suite.seed, id, study, trial),
        target=course.target.target(),
        budget=budget,
        clock=suite.clock,
        resources=suite.resources.lent,
        ruleset="external" if fixed else suite.ruleset,
        pace=_pace(planned, id, source.framework) if suite.clock == "paired" else None,
    )


def _pace(planned: Planned, id: str, framework: Framework) -> Pace:
    reference = planned.plan.workloads[id].references.get(framework)
    if reference is None:
        raise ConfigError(
            f"clock paired: time is counted in reference steps, but {id} is raced without "
            "a reference; leave --no-reference out, or choose --clock wall"
        )
    return Pace(planned.sources[reference.file], reference.hyperparameters)
