"""What `gradathlon check` asks of a submission: it trains, repeats itself, and can be resumed."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import random
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

import workloads
from cluster import checkpoint
from cluster.checkpoint import StateError
from cluster.entry import Seeds, make_entry
from cluster.learners import make_learner
from cluster.learners.contract import Learner
from cluster.process import seed_globals, set_environment
from scoring.ground.words import Budget, Resources
from submissions.contract import SubmissionError
from submissions.source import Source
from workloads.contract import Batch

DEFAULT_WORKLOAD = "homeostatic-toy-v2"
STEPS = 8
LIMIT_S = 120.0
_CORNERS = (0.0, 0.5, 0.999)
_SEED = 20
_BUDGET = Budget(STEPS, 60.0)
_SEEDS = Seeds(_SEED, _SEED, _SEED, _SEED)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was asked of a submission, and whether it holds."""

    ok: bool
    title: str
    detail: str = ""


def check(source: Source, workload_id: str = DEFAULT_WORKLOAD) -> list[Finding]:
    """Run a submission for a few steps on random data, in a process of its own.

    Needs no data. Stops at the first thing that makes the rest pointless.

    Raises:
        WorkloadError: no such workload.
    """
    workloads.get(workload_id)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, source, workload_id), daemon=True)
    process.start()
    theirs.close()  # then the end of the process is the end of the pipe
    try:
        if ours.poll(LIMIT_S):
            findings: list[Finding] = ours.recv()
            return findings
        detail = f"no answer for {LIMIT_S:g} s; look for an endless loop or a wait"
    except EOFError:
        process.join()
        detail = f"its process died ({_how(process.exitcode)}); look at native code that it calls"
    finally:
        process.kill()
        process.join()
    return [Finding(False, "it comes back", detail)]


def _how(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"


def _answer(pipe: Connection, source: Source, workload_id: str) -> None:
    _stdout_to_stderr()
    pipe.send(_check_here(source, workload_id))


def _stdout_to_stderr() -> None:
    # What a submission prints is talk, not data.
    os.dup2(2, 1)


def _check_here(source: Source, workload_id: str) -> list[Finding]:
    set_environment(Resources())
    findings: list[Finding] = []
    try:
        for finding in _findings(source, workload_id):
            findings.append(finding)
            if not finding.ok:
                break
    except (SubmissionError, StateError) as error:
        findings.append(Finding(False, "it runs", " ".join(str(error).split())))
    except (Exception, SystemExit) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        detail = f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
        findings.append(Finding(False, "it runs", " ".join(detail.split())))
    return findings


def _findings(source: Source, workload_id: str) -> Iterator[Finding]:
    bench = _Bench(source, workload_id)
    names = ", ".join(source.defaults) or "none"
    yield Finding(True, f"{source.framework} submission", f"hyperparameters: {names}")
    start, first = bench.weights, bench.run()
    yield _trains(start, first)
    again = bench.run()
    yield _required(
        _equal(first, again),
        "the same seed gives the same weights",
        "two runs from one seed differ; draw randomness from `workload.seed` or the global "
        "generators, which are seeded for each trial",
    )
    yield _required(
        _equal(first, bench.run(interrupted=True)),
        "a checkpoint continues exactly",
        "weights differ after a resume: something that the algorithm remembers is not in its state",
    )
    for point in _points(source):
        after = bench.run(hyperparameters=point)
        finite = all(np.isfinite(value).all() for value in after.values())
        shown = ", ".join(
            f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in point.items()
        )
        title = f"it trains at {shown}"
        yield Finding(True, title, "" if finite else "diverges here, which a race allows")


def _required(ok: bool, title: str, otherwise: str) -> Finding:
    return Finding(ok, title, "" if ok else otherwise)


def _trains(start: Mapping[str, Any], after: Mapping[str, Any]) -> Finding:
    broken = [name for name, value in after.items() if not np.isfinite(value).all()]
    still = [name for name, value in after.items() if np.array_equal(value, start[name])]
    title = "it trains at its defaults"
    if broken:
        return Finding(False, title, f"{broken[0]} is not finite after {STEPS} steps")
    if len(still) == len(after):
        return Finding(False, title, f"no weight changed in {STEPS} steps")
    return Finding(True, title, f"{len(after) - len(still)} of {len(after)} weights moved")


def _first_point(source: Source) -> dict[str, Any]:
    """The defaults; where a hyperparameter has none, a point of the search space."""
    points = _points(source)
    complete = all(name in source.defaults for name in source.hyperparameters)
    return {} if complete or not points else points[len(points) // 2]


def _points(source: Source) -> list[dict[str, Any]]:
    space = source.space
    if space is None:
        return []
    if space.points is not None:
        return [dict(point) for point in space.points]
    return [space.at([u] * len(space.names)) for u in _CORNERS]


class _Bench:
    """Trains a submission on random batches of one workload."""

    def __init__(self, source: Source, workload_id: str) -> None:
        self.source = source
        self.workload = workloads.get(workload_id)
        self.weights = self.workload.initial_weights(_SEED)
        self._first = _first_point(source)
        self.batches: list[Batch] = [self.workload.batch_like(seed) for seed in range(STEPS)]

    def run(
        self, *, interrupted: bool = False, hyperparameters: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The weights after a few steps, perhaps through a checkpoint half way."""
        draw = _from(self.batches)
        chosen = self._first if hyperparameters is None else hyperparameters
        learner = self._begin(chosen)
        for step in range(STEPS):
            if interrupted and step == STEPS // 2:
                learner = self._resumed(learner, chosen)
            learner.step(draw)
        learner.prepare_evaluation()
        learner.measure(self.batches[0])
        learner.resume_training()
        return learner.state()["weights"]

    def _begin(self, hyperparameters: Mapping[str, Any]) -> Learner:
        entry = make_entry(
            self.workload,
            self.source,
            hyperparameters,
            _SEEDS,
            budget=_BUDGET,
            resources=Resources(),
        )
        seed_globals(_SEED)
        learner = make_learner(self.source.framework, entry, self.batches[:1])
        seed_globals(_SEED)
        learner.begin()
        return learner

    def _resumed(self, learner: Learner, hyperparameters: Mapping[str, Any]) -> Learner:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "checkpoint.safetensors"
            checkpoint.save(path, {"learner": learner.state()})
            drawn = random.getstate(), np.random.get_state()
            fresh = self._begin(hyperparameters)
            fresh.load_state(checkpoint.load(path)["learner"])
        # A trial's own checkpoint keeps these two generators beside the learner.
        random.setstate(drawn[0])
        np.random.set_state(drawn[1])
        return fresh


def _from(batches: list[Batch]) -> Callable[[], Batch]:
    left = iter(batches)
    return lambda: next(left)


def _equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(np.array_equal(value, other[name], equal_nan=True) for name, value in one.items())
