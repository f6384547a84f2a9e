"""The cells of the conformance table: each run in the submission's own process, reported in a line.

One process answers for all cells of a submission, forked from a server that has torch, jax and the
data at hand, for these take longer than most cells. Where it dies or hangs, that cell says so and
the next process takes the others.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Mapping
from multiprocessing.connection import Connection

from cluster.checkpoint import StateError
from cluster.checks.conformance import DEFAULT_WORKLOAD, check_here, one_line
from cluster.checks.short_trial import Diverged, short_trial
from cluster.faults import how_ended
from cluster.guards.world import end_copies
from cluster.process import set_environment
from cluster.supervision import tree
from scoring.ground.errors import UserError
from scoring.ground.words import Resources
from submissions.source import Source

CHECK = "check"
"""The cell that is `gradathlon check NAME --quick`; each other one bears a workload's id."""
READY = "cluster.checks.ready"
LIMIT_S = 1200.0
_TOLD = (UserError, StateError)
"""Errors whose message says everything."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """What one cell says.

    Attributes:
        asked: `CHECK`, or a workload.
        ok: whether nothing is wrong with the submission there.
        told: the reason in one line, or what is worth knowing although it is ok.
        steps: how many were trained.
        metric, value: the judged metric at the end of the short trial, where one was made.
        resumes: bit-identical after a kill; None where its state is not kept or nothing was tried.
    """

    asked: str
    ok: bool
    told: str = ""
    steps: int = 0
    metric: str = ""
    value: float | None = None
    resumes: bool | None = None


def make_ready(workloads: Iterable[str]) -> None:
    """Say, before the first cell, whose data are on this machine and will be asked for."""
    os.environ["GRADATHLON_READY"] = " ".join(workloads)


def cells(source: Source, steps: Mapping[str, int], limit_s: float = LIMIT_S) -> Iterator[Cell]:
    """Answer for each of `steps`: a workload's id, or `CHECK`, with the steps to train there."""
    remaining = dict(steps)
    while remaining:
        for cell in _answered(source, remaining, limit_s):
            del remaining[cell.asked]
            yield cell


def _answered(source: Source, steps: Mapping[str, int], limit_s: float) -> Iterator[Cell]:
    """The cells that one process answers, and the one at which it ended before its time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([READY])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, source, dict(steps)), daemon=True)
    process.start()
    theirs.close()  # then the end of the process is the end of the pipe
    waiting = list(steps)
    try:
        while waiting:
            if not ours.poll(limit_s):
                yield Cell(waiting[0], False, f"no answer for {limit_s:g} s")
                return
            cell: Cell = ours.recv()
            waiting.remove(cell.asked)
            yield cell
    except EOFError:
        process.join()
        yield Cell(waiting[0], False, f"its process died ({how_ended(process.exitcode)})")
    finally:
        tree.end(process)


def _answer(pipe: Connection, source: Source, steps: Mapping[str, int]) -> None:
    os.dup2(2, 1)  # what a submission prints is talk, not data
    tree.adopt_orphans()
    process = os.getpid()
    set_environment(Resources())
    for question, count in steps.items():
        cell = _checked(source) if question == CHECK else _tried(source, question, count)
        end_copies(process)
        tree.end_all(process)  # nothing that a submission started slows the next
        pipe.send(cell)


def _checked(source: Source) -> Cell:
    bad = [finding for finding in check_here(source, [DEFAULT_WORKLOAD]) if not finding.ok]
    return Cell(CHECK, not bad, one_line("; ".join(f"{f.title}: {f.detail}" for f in bad)))


def _tried(source: Source, workload: str, steps: int) -> Cell:
    try:
        short = short_trial(source, workload, steps)
    except Diverged as error:
        return Cell(workload, False, f"diverges: {error}", steps)
    except _TOLD as error:
        return Cell(workload, False, one_line(str(error)), steps)
    except BaseException as error:  # this process is the submission's own
        return Cell(workload, False, one_line(f"{type(error).__name__}: {error}"), steps)
    ok = short.resumes is not False
    reason = one_line(short.why)
    return Cell(workload, ok, reason, steps, short.metric, short.value, short.resumes)
