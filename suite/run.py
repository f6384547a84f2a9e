"""One run, from what was asked for to its leaderboard: plan, race, show, score."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Sequence
from pathlib import Path

import click

import cluster
from cluster import hardware as machine
from cluster.checks import doctor
from cluster.checks.review import refuse_missing_imports
from cluster.faults import Interrupts
from cluster.node_data import fetch_all
from cluster.run_lock import drive_throughout, is_driven
from cluster.spec import Finished, TrialSpec, Update
from cluster.trial.step_time import seconds_a_step
from scoring import board, frame
from scoring.ground.cache import cache_folder
from scoring.ground.clocks import CLOCKS
from scoring.ground.documents import ConfigError
from scoring.ground.ends import ENDS
from scoring.ground.errors import UserError
from scoring.ground.files import absent, take_away, write_whole
from scoring.ground.words import Resources
from scoring.index import Keeper
from scoring.records import RecordError, record_attempts
from scoring.report import page, tables
from submissions.contract import SubmissionError
from submissions.source import find
from suite import config, kept_plan, references, remote
from suite.cli import INTERRUPTED
from suite.live import display, one_line, trial_name
from suite.plan import Planned, make_plan
from suite.pruning import Pruner, in_order
from suite.remarks import remarks
from suite.request import Request
from suite.talk import say
from suite.text_table import fitted
from suite.trials import refuse_too_many_cores
from suite.utilisation import Utilisation
from suite.wandb_board.words import Place


def run(request: Request) -> int:
    """Carry out a request; the exit code: 0 done, 1 some trial failed, 130 stopped by Ctrl-C.

    Raises:
        ConfigError: contradictory or wrong input, a used or unwritable folder.
        WorkloadError: an unknown workload, or data that cannot be had.
        SubmissionError: a submission that cannot race.
        ClusterError: the place to race cannot be had.
        RemoteError: the URL cannot be written, holds another run, or is raced by another process.
    """
    with Interrupts():
        return _run(request)


def _run(request: Request) -> int:
    if request.url is not None:
        scratch = remote.begin(request.url, request.resume, request.dry_run, request.copy_to)
        request = dataclasses.replace(request, output=scratch, copy_to=request.url)
    folder, planned = _planned(request)
    for note in planned.notes:
        say(note)
    specs = planned.specs(folder)
    if request.address is None:
        _see_that_it_can_race_here(planned, request.dry_run)
    if request.dry_run:
        click.echo(show_plan(specs))
        return 0
    _check_place(request)
    _fetch_data(planned, request.address)
    made = absent(folder)
    place = request.url or str(folder)
    _keep_plan(request, folder, planned, specs)
    try:
        # Who drives it is not disturbed: neither its records, nor its cores by what is measured.
        with drive_throughout(folder, say):
            _take_references(request, specs)
            say(f"racing {len(specs)} trials into {place}")
            with _tracking(request, folder):
                finished = _race(request, planned, specs)
    except UserError:
        # Nothing was raced: the same command can be typed again once the cause is mended.
        if not ((folder / "trials").exists() or is_driven(folder)):
            take_away(made)
        raise
    except KeyboardInterrupt:
        say(f"stopped; resume with: {request.again(place)}")
        return INTERRUPTED
    if written := _show_board(folder, planned):
        there = remote.put(request.copy_to, written, say) if request.copy_to else ""
        say(f"report: {there or written}")
    return _report_failures(finished, request.again(place, "--retry-failed"))


def _see_that_it_can_race_here(planned: Planned, dry_run: bool) -> None:
    asked = f"suite {planned.plan.name!r}: resources.cores"
    try:
        refuse_too_many_cores(planned.plan.suite.resources.lent, asked)
    except ConfigError as error:
        if not dry_run:
            raise
        say(f"not on this machine: {error}")  # a plan for another is looked at here, too
    for source in planned.sources.values():
        refuse_missing_imports(source)


def _tracking(request: Request, folder: Path) -> contextlib.AbstractContextManager[None]:
    place = _wandb_place(request)
    if place is None:
        return contextlib.nullcontext()
    from suite.wandb_board.driver import tracking

    return tracking(folder, place, say)


def _wandb_place(request: Request) -> Place | None:
    for flag in ("project", "entity"):
        if getattr(request, f"wandb_{flag}") is not None and not request.wandb:
            raise ConfigError(f"--wandb-{flag} needs --wandb; add it")
    return Place.find(request.wandb_project, request.wandb_entity) if request.wandb else None


def show_plan(specs: Sequence[TrialSpec]) -> str:
    """The plan as a table: one line a trial, in the order in which they start."""
    rows = [
        (
            spec.workload,
            spec.submission,
            str(spec.study),
            str(spec.trial),
            str(spec.seed),
            _limit(spec),
            " ".join(f"{name}={_short(value)}" for name, value in spec.hyperparameters.items()),
        )
        for spec in specs
    ]
    head = ("workload", "submission", "study", "trial", "seed", "budget", "hyperparameters")
    return fitted(head, rows)


def _limit(spec: TrialSpec) -> str:
    budget = spec.budget
    if budget.reference_steps is not None:
        return f"{budget.reference_steps:g} reference steps / {budget.steps} steps"
    seconds = f" / {budget.seconds:g} s" if CLOCKS[spec.clock].in_seconds else ""
    return f"{budget.steps} steps{seconds}"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _planned(request: Request) -> tuple[Path, Planned]:
    if request.resume:
        if request.output is None:
            raise ConfigError("--resume needs the run's folder: gradathlon run --resume -o DIR")
        planned = kept_plan.read(request.output)
        _refuse_conflicts(request, planned, request.url or str(request.output))
        return request.output, planned
    if request.suite is None:
        raise ConfigError(
            f"name a suite: one of {', '.join(config.shipped())}, or the path of a YAML file"
        )
    if request.race_reference and not request.reference:
        raise ConfigError("--race-reference and --no-reference contradict each other; choose one")
    named = config.override(config.load(request.suite), request.overrides)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = request.output or Path("runs") / f"{named.name}-{stamp}"
    if not request.dry_run:
        kept_plan.refuse_used(folder)
    planned = make_plan(named, reference=request.reference, race_reference=request.race_reference)
    return folder, planned


def _refuse_conflicts(request: Request, planned: Planned, place: str) -> None:
    plan = planned.plan
    for flag, is_asked, has in _asked(request, planned):
        if is_asked != has:
            raise ConfigError(
                f"{flag} {_words(is_asked)}: the run in {place} was started with {_words(has)}; a "
                f"resumed run keeps its plan: leave {flag} out, or start a new run"
            )
    raced = [one.raced for course in plan.workloads.values() for one in course.references.values()]
    if not request.reference and any(raced):
        raise ConfigError(
            f"--no-reference: the run in {place} was planned with references; leave it out, or "
            "start a new run"
        )
    if request.race_reference and not (raced and all(raced)):
        raise ConfigError(
            f"--race-reference: the run in {place} was planned without racing them; leave it out, "
            "or start a new run"
        )


def _asked(request: Request, planned: Planned) -> list[tuple[str, object, object]]:
    plan = planned.plan
    pairs: list[tuple[str, object, object]] = []
    if request.suite is not None:
        pairs.append(("the suite", _stem(request.suite), plan.name))
    if request.submissions:
        names = sorted(set(map(_name, request.submissions)))
        pairs.append(("-s", names, sorted(plan.submissions)))
    if request.workloads:
        pairs.append(("-w", sorted(set(request.workloads)), sorted(plan.workloads)))
    for key in ("studies", "trials", "clock", "seed"):
        if getattr(request, key) is not None:
            pairs.append((f"--{key}", getattr(request, key), getattr(plan.suite, key)))
    return pairs


def _stem(word: str) -> str:
    return Path(word).stem if word.endswith((".py", ".yaml", ".yml")) else word


def _name(word: str) -> str:
    """The name of a submission, which may be a folder's; of one that is gone, by its path."""
    try:
        return find(word).name
    except SubmissionError:
        return _stem(word)


def _words(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _check_place(request: Request) -> None:
    """Before a folder is made, which the corrected command would find used."""
    _wandb_place(request)
    if request.retry_failed and not request.resume:
        raise ConfigError("--retry-failed needs --resume: a new run has no failed trials")
    if request.address is not None:
        from cluster.executors.address import check_address

        check_address(request.address)
    if request.copy_to is not None:
        look = remote.check_writable if request.resume else remote.refuse_used
        look(request.copy_to)


def _fetch_data(planned: Planned, address: str | None) -> None:
    # On another machine it is the trials that fetch; here, trouble is told before anything starts.
    if address is not None:
        return
    fetch_all(list(planned.plan.workloads))


def _keep_plan(
    request: Request, folder: Path, planned: Planned, specs: Sequence[TrialSpec]
) -> None:
    if request.resume:
        return
    hardware = machine.fingerprint(_resources(specs))
    facts = hardware | ({"notes": noted} if (noted := doctor.notes()) else {})
    kept_plan.write(folder, planned, versions=machine.versions(), hardware=facts)


def _take_references(request: Request, specs: Sequence[TrialSpec]) -> None:
    for line in references.reuse(specs, _shelf(request, specs), seconds_a_step):
        say(line)


def _resources(specs: Sequence[TrialSpec]) -> Resources:
    return specs[0].resources


def _shelf(request: Request, specs: Sequence[TrialSpec]) -> references.Shelf | None:
    """Where this machine's references are kept; none for a cluster's."""
    if request.address is not None:
        return None
    resources = _resources(specs)
    room = max(1, len(os.sched_getaffinity(0)) // resources.all_cores)
    beside = 1 if request.executor == "in_process" else min(request.at_once or room, room)
    digest = str(machine.fingerprint(resources)["digest"])
    return references.Shelf(cache_folder(), digest, beside, machine.versions())


def _race(request: Request, planned: Planned, specs: Sequence[TrialSpec]) -> list[Finished]:
    finished = []
    pruner, keeper = Pruner(specs, request.prune, planned.plan), Keeper(specs[0].run)
    copy = remote.Copy(specs[0].run, request.copy_to, say) if request.copy_to else None
    used, cores = Utilisation(), _resources(specs).all_cores
    shelf = _shelf(request, specs)

    def watch(news: Update) -> None:
        shown.update(news)
        used.update(news, cores)

    with contextlib.closing(copy) if copy else contextlib.nullcontext(), display(specs) as shown:
        ended = cluster.run_all(
            in_order(specs, request.prune),
            executor=request.executor,
            address=request.address,
            at_once=request.at_once,
            watch=watch,
            retry_failed=request.retry_failed,
            limits=pruner.limits(),
            tell=say,
        )
        for trial in ended:
            shown.finish(trial)
            used.finish(trial)
            pruner.hear(trial)
            keeper.ended(record_attempts(trial.spec.run, trial.spec.key)[-1])
            references.keep(trial, shelf)
            if copy:
                copy.ended(trial.spec.key)
            finished.append(trial)
    if line := used.line():
        say(line)
    return finished


def _show_board(folder: Path, planned: Planned) -> Path | None:
    """Print it; the path of the page, if there is one."""
    try:
        gathered = frame.gather([folder])
        computed = board.compute_from(gathered)
    except RecordError as error:
        say(f"no leaderboard: {error}")
        return None
    click.echo(tables.terminal(computed).rstrip("\n"))
    entrants = planned.plan.submissions.items()
    raced = {name: planned.sources[entrant.file] for name, entrant in entrants}
    for line in remarks(gathered.records, raced):
        say(line)
    written = folder / "report.html"
    try:
        write_whole(written, page.render(computed, gathered.records))
    except OSError as error:
        say(f"no page: {written} cannot be written: {error.strerror}")
        return None
    return written


def _report_failures(finished: Sequence[Finished], again: str) -> int:
    failed = [trial for trial in finished if ENDS[trial.outcome.end].fails_run]
    for trial in failed:
        reason = one_line(trial.outcome.reason)
        record = record_attempts(trial.spec.run, trial.spec.key)[-1]
        say(f"failed: {trial_name(trial.spec.key)}: {reason} ({record})")
    if failed:
        say(f"retry only those with: {again}")
    return 1 if failed else 0
