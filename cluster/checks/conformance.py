"""The checks of `gradathlon check` for submissions: it trains, is reproducible, and resumes."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection

import numpy as np

import workloads
from cluster.checkpoint import StateError
from cluster.checks.bench import Bench
from cluster.checks.review import worth_a_look
from cluster.faults import as_raised, how_ended, told
from cluster.guards.world import World, end_copies
from cluster.process import set_environment
from cluster.supervision import tree
from scoring.ground.words import Point, Resources
from submissions.algoperf.machine import read_otherwise
from submissions.bundle import MAIN, split
from submissions.contract import SubmissionError
from submissions.source import Source
from workloads.contract import Weights

DEFAULT_WORKLOAD = "homeostatic-toy-v3"
STEPS, PAUSES = 13, (5, 9)
"""How long it trains, and where it is cut off: at no step where a round count begins anew."""
PATIENT_STEPS, PATIENT_PAUSES = 64, (5, 37)
FEW_STEPS = 2
"""On the families that are not looked at closely."""
LIMIT_S = 300.0
"""CPU seconds for each workload; how long they last depends on who else computes here."""
STILL_S, STILL_CPU_S = 120.0, 0.5
"""What spends no more CPU seconds in so many is waiting for something that does not come."""
_CORNERS = (0.0, 0.5, 0.999)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was asked of a submission, and whether it holds."""

    ok: bool
    title: str
    detail: str = ""


def default_workloads() -> list[str]:
    """The workload whose model a submission is trained on, and one of each other family."""
    toys = workloads.ids(variants=False, scale="toy")
    return [DEFAULT_WORKLOAD, *(id for id in toys if id != DEFAULT_WORKLOAD)]


def check(source: Source, workload_ids: Sequence[str] = (DEFAULT_WORKLOAD,)) -> Iterator[Finding]:
    """Run a submission for a few steps on random data, in a process of its own.

    It is looked at closely on the first of the workloads, and briefly on the others. Needs no
    data. Findings come as they are made; ends at the first that makes the rest pointless.

    Raises:
        WorkloadError: no such workload.
    """
    for id in workload_ids:
        workloads.get(id)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, source, workload_ids), daemon=True)
    process.start()
    theirs.close()  # then the end of the process is the end of the pipe
    try:
        while not (detail := _overdue(ours, process.pid or 0, LIMIT_S * len(workload_ids))):
            finding: Finding | None = ours.recv()
            if finding is None:
                return
            yield finding
    except EOFError:
        process.join()
        detail = (
            f"its process died ({how_ended(process.exitcode)}); look at native code that it calls"
        )
    finally:
        tree.end(process)
    yield Finding(False, "it finishes", detail)


def _overdue(pipe: Connection, pid: int, limit_s: float) -> str:
    """Wait for the next answer; why none is to be expected, or nothing once there is one."""
    used_s, since = 0.0, time.monotonic()
    while not pipe.poll(0.5):
        now_s, now = tree.cpu_s(pid), time.monotonic()
        if now_s > limit_s:
            return f"no answer within {limit_s:g} CPU seconds; look for an endless loop"
        if now_s > used_s + STILL_CPU_S:
            used_s, since = now_s, now
        elif now > since + STILL_S:
            return f"idle for {STILL_S:g} s; look for a blocking wait, such as on a lock or a reply"
    return ""


def _answer(pipe: Connection, source: Source, workload_ids: Sequence[str]) -> None:
    _stdout_to_stderr()
    tree.adopt_orphans()  # what a submission leaves is told, and ended
    process = os.getpid()

    def send(finding: Finding | None) -> None:
        end_copies(process)
        pipe.send(finding)

    check_here(source, workload_ids, send)
    end_copies(process)
    tree.end_all(process)
    send(None)


def _stdout_to_stderr() -> None:
    # What a submission prints is talk, not data.
    os.dup2(2, 1)


def check_here(
    source: Source,
    workload_ids: Sequence[str],
    tell: Callable[[Finding], None] = lambda _: None,
) -> list[Finding]:
    """As `check`, in this process, which must be the submission's own."""
    set_environment(Resources())
    findings: list[Finding] = []

    def found(finding: Finding) -> None:
        findings.append(finding)
        tell(finding)

    try:
        for finding in _findings(source, workload_ids):
            found(finding)
            if not finding.ok:
                break
    except SubmissionError as error:
        found(Finding(False, _where(findings, workload_ids), told(error, kind=False)))
    except BaseException as raised:  # this process is the submission's own
        cause = as_raised(raised)
        where = traceback.extract_tb(cause.__traceback__)[-1]
        detail = f"{told(cause)} ({where.filename}:{where.lineno})"
        found(Finding(False, _where(findings, workload_ids), one_line(detail)))
    return findings


def _where(findings: Sequence[Finding], workload_ids: Sequence[str]) -> str:
    """What failed: running at all, or the first family whose shapes were not yet taken."""
    if not any(finding.title.startswith("a checkpoint") for finding in findings):
        return "it runs"
    titles = " ".join(finding.title for finding in findings)
    others = [id for id in workload_ids[1:] if id not in titles]
    return f"it accepts the shapes of {others[0]}" if others else "it runs"


def _findings(source: Source, workload_ids: Sequence[str]) -> Iterator[Finding]:
    names = ", ".join(source.defaults) or "none"
    yield Finding(True, f"{source.framework} submission", f"hyperparameters: {names}")
    odd = worth_a_look(source)
    if odd:
        yield Finding(True, "for review", ", ".join(odd))
    here = _read_otherwise(source)
    if here:
        yield Finding(True, "settings for AlgoPerf's machine, adapted to this one", ", ".join(here))
    world = World(source.framework, Resources().cores)
    others = frozenset(tree.descendants(os.getpid()))
    chosen = first_point(source)
    bench, first = _bench(source, workload_ids, chosen)
    changes = world.taken()
    world.give_back()
    if changes:
        yield Finding(False, "it does not change process settings", ", ".join(changes))
    steps, pauses = STEPS, PAUSES
    if _unmoved(bench.weights, first):  # it may gather gradients over many steps
        steps, pauses = PATIENT_STEPS, PATIENT_PAUSES
        first = bench.run(chosen, steps, pauses)
    yield _trains(bench.weights, first, steps)
    yield _required(
        equal(first, bench.run(chosen, steps, pauses)),
        "the same seed gives the same weights",
        "two runs from one seed differ; draw randomness from `workload.seed` or the global "
        "generators, which are seeded for each trial",
    )
    yield _continues(bench, chosen, first, steps, pauses)
    yield from _lasts(bench, chosen)
    for other in workload_ids:
        if other != str(bench.workload.id):
            yield _takes_shapes(source, other, chosen)
    for point in _points(source):
        after = bench.run(point, STEPS)
        shown = ", ".join(
            f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in point.items()
        )
        title = f"it trains at {shown}"
        yield Finding(True, title, "" if _finite(after) else "diverges here; a race allows that")
    if left := _left(world, others):
        yield Finding(True, "left behind, as a race would report", ", ".join(left))


def _left(world: World, others: frozenset[int]) -> list[str]:
    """What lies about, one phrase each; `others` are processes that were there before."""
    processes = sum(map(tree.alive, tree.descendants(os.getpid(), others)))
    left = ({"leftover_processes": processes} if processes else {}) | world.left()
    return [f"{name.replace('_', ' ')}: {value}" for name, value in left.items()]


def _takes_shapes(source: Source, id: str, chosen: Mapping[str, object]) -> Finding:
    if not _races_on(source, id):
        return Finding(True, f"it does not race on {id}", "AlgoPerf files need labels")
    Bench(source, id).run(chosen, FEW_STEPS)
    return Finding(True, f"it accepts the shapes of {id}")


def _read_otherwise(source: Source) -> list[str]:
    if source.api != "algoperf" or source.framework != "torch":
        return []
    from submissions.algoperf.helpers_torch import has_accelerator

    main, files = split(source.text)
    texts = {MAIN: main, **files}
    return list(read_otherwise(texts, accelerator=has_accelerator()))


def _bench(
    source: Source, workload_ids: Sequence[str], chosen: Mapping[str, object]
) -> tuple[Bench, Weights]:
    """The first of the workloads on whose random batches it does not diverge, and its weights.

    A rate that is right for real data may be too high for noise; one that is too high everywhere
    is shown on the first.
    """
    tried: list[tuple[Bench, Weights]] = []
    for id in workload_ids:
        if tried and not _races_on(source, id):
            continue
        bench = Bench(source, id)
        after = bench.run(chosen, STEPS, PAUSES)
        tried.append((bench, after))
        if _finite(after):
            return tried[-1]
    return tried[0]


def _races_on(source: Source, id: str) -> bool:
    return source.api != "algoperf" or workloads.get(id).supervised


def _finite(weights: Weights) -> bool:
    return all(np.isfinite(value).all() for value in weights.values())


def _required(ok: bool, title: str, otherwise: str) -> Finding:
    return Finding(ok, title, "" if ok else otherwise)


def _unmoved(start: Weights, after: Weights) -> list[str]:
    """Names of the weights that are as they were, if all of them are."""
    still = [name for name, value in after.items() if np.array_equal(value, start[name])]
    return still if len(still) == len(after) else []


def _trains(start: Weights, after: Weights, steps: int) -> Finding:
    broken = [name for name, value in after.items() if not np.isfinite(value).all()]
    title = "it trains at its defaults"
    if broken:
        return Finding(False, title, f"{broken[0]} is not finite after {steps} steps")
    if _unmoved(start, after):
        return Finding(False, title, f"no weight changed in {steps} steps")
    moved = sum(not np.array_equal(value, start[name]) for name, value in after.items())
    return Finding(True, title, f"{moved} of {len(after)} weights moved")


def _continues(
    bench: Bench,
    chosen: Mapping[str, object],
    whole: Weights,
    steps: int,
    pauses: Sequence[int],
) -> Finding:
    title = "a checkpoint resumes exactly"
    try:
        resumed = bench.run(chosen, steps, pauses, interrupted=True)
    except StateError as error:
        detail = f"not saved: {error}; a killed trial starts over"
        return Finding(True, title.replace("resumes", "may not resume"), one_line(detail))
    except Exception as error:  # before the resume the same steps were good
        detail = f"fails after resuming with its state loaded: {told(error)}"
        return Finding(False, title, one_line(detail))
    return _required(
        equal(whole, resumed),
        title,
        "weights differ after resuming: part of what the algorithm remembers is not in its state",
    )


def _lasts(bench: Bench, chosen: Mapping[str, object]) -> Iterator[Finding]:
    """Whether torch schedulers can be stepped as long as a trial goes on."""
    if bench.source.framework != "torch":
        return
    from cluster.learners.schedules_torch import step_to_the_end

    steps, hint = bench.budget.steps, bench.workload.settings.step_hint
    fault = step_to_the_end(bench.entry(chosen), steps)
    if fault is None:
        return
    detail = (
        f"{fault}; a trial may run to step {steps} (`workload.max_steps`), past its horizon of "
        f"{hint} (`workload.step_hint`): extend the schedule, or hold the last rate"
        if fault
        else ""
    )
    yield Finding(not fault, "its schedulers last as long as a trial", detail)


def first_point(source: Source) -> Point:
    """The defaults; where a hyperparameter has none, a point of the search space."""
    points = _points(source)
    complete = all(name in source.defaults for name in source.hyperparameters)
    return {} if complete or not points else points[len(points) // 2]


def _points(source: Source) -> list[Point]:
    space = source.space
    if space is None:
        return []
    if space.points is not None:
        return [dict(point) for point in space.points]
    return [space.at([u] * len(space.names)) for u in _CORNERS]


def equal(one: Weights, other: Weights) -> bool:
    """Whether weights are the same, bit by bit."""
    return all(np.array_equal(value, other[name], equal_nan=True) for name, value in one.items())


def one_line(text: str) -> str:
    """Without line breaks."""
    return " ".join(text.split())
