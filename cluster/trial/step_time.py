"""The current duration of a trial's step: whether earlier timings still hold."""

from __future__ import annotations

import contextlib
import multiprocessing
import statistics
from multiprocessing.connection import Connection
from time import perf_counter as _seconds
from typing import Any

import workloads
from cluster.cores import hold_cores
from cluster.learners.contract import LearnersPolicy
from cluster.learners.entry import Seeds
from cluster.process import seed_globals, set_environment
from cluster.spec import TrialSpec
from cluster.trial.warm_up import warm_learner

LEAST_STEPS = 3
CHUNK_S, CHUNKS = 0.1, 20
LIMIT_S = 120.0


def seconds_a_step(spec: TrialSpec, beside: int = 1) -> float | None:
    """The median over a few seconds of the trial's own training, on cores held alone.

    As many such processes train at the same time as race side by side; None where one of them
    comes to no end. Nothing is written.
    """
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(beside)
    pipes, processes = [], []
    for _ in range(beside):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_answer, args=(theirs, together, spec), daemon=True)
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    try:
        answers = [pipe.recv() if pipe.poll(LIMIT_S) else None for pipe in pipes]
    except EOFError:
        return None
    finally:
        for process in processes:
            process.kill()
            process.join()
    seconds_known = [seconds for seconds in answers if seconds is not None]
    return statistics.median(seconds_known) if len(seconds_known) == beside else None


def _answer(pipe: Connection, together: Any, spec: TrialSpec) -> None:
    # Without an answer the trial is raced anew, and tells what ails it.
    with contextlib.suppress(Exception):
        _measure(pipe, together, spec)


def _measure(pipe: Connection, together: Any, spec: TrialSpec) -> None:
    set_environment(spec.resources)
    with hold_cores(spec.resources.all_cores):
        workload, seeds = workloads.get(spec.workload), Seeds.of(spec.seed)
        stream = workload.stream(seeds.stream)
        learner = warm_learner(spec, workload, seeds)
        seed_globals(seeds.own)
        learner.begin()
        policy = LearnersPolicy(learner)

        def chunk() -> float:
            """Seconds a step, over a tenth of a second and a few steps at least."""
            began, steps = _seconds(), 0
            while steps < LEAST_STEPS or _seconds() - began < CHUNK_S:
                learner.step(lambda: stream.next(policy))
                steps += 1
            learner.drain()  # also a barrier
            learner.synchronize()
            return (_seconds() - began) / steps

        chunk()
        together.wait(LIMIT_S)
        pipe.send(statistics.median(chunk() for _ in range(CHUNKS)))
        together.wait(LIMIT_S)  # nobody is quicker for another's end
        stream.close()
