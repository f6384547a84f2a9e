"""A short trial for the conformance table: trained on real data, killed half-way, and continued.

It holds what a race holds (one core, the settings of the process, the judged weights' form, the
checkpoint of everything), and leaves out what costs time or says nothing here: the clock, the
record, the target.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

import workloads
from cluster import checkpoint
from cluster.checkpoint import StateError
from cluster.checks.conformance import equal, first_point
from cluster.guards.world import World
from cluster.learners import make_learner
from cluster.learners.contract import Learner, LearnersPolicy
from cluster.learners.entry import Seeds, make_entry
from cluster.node_data import fetch_once
from cluster.process import globals_state, load_globals, seed_globals
from scoring.ground.words import Budget, Resources, StateDict
from submissions.contract import SubmissionError
from submissions.source import Source
from workloads.contract import Stream, Weights, Workload

SEED = 11


@dataclasses.dataclass(frozen=True)
class Short:
    """What a short trial came to.

    Attributes:
        steps: how many it made.
        metric, value: the judged metric at its end.
        resumes: whether what went on from the checkpoint ended at the same weights, bit by bit;
            None where its state cannot be kept, which is `why`.
    """

    steps: int
    metric: str
    value: float
    resumes: bool | None
    why: str = ""


class Diverged(Exception):  # noqa: N818 - an end
    """The weights or the judged metric are not finite."""


@dataclasses.dataclass
class _Running:
    learner: Learner
    stream: Stream
    steps: int = 0


def short_trial(source: Source, workload_id: str, steps: int) -> Short:
    """Train for `steps` at the submission's first point, and again from the checkpoint half-way.

    Raises:
        SubmissionError: it cannot race here.
        Diverged: it came to no finite weights or metric.
        WorkloadError: no such workload, or its data cannot be had.
    """
    workload = workloads.get(workload_id)
    fetch_once(workload)
    world = World(source.framework, Resources().cores)
    try:
        whole, state, why = _to_the_end(source, workload, steps)
        value = _judged(workload, whole, steps - steps // 2)
        world.check()
        _see_that_it_moved(whole.learner.weights(), workload, steps)
        resumes = None
        if state is not None:
            again = _continued(source, workload, state, steps)
            resumes = equal(whole.learner.weights(), again)
            why = "" if resumes else "resumes with other weights: part of its state is not saved"
        whole.stream.close()
    finally:
        world.give_back()
    return Short(steps, workload.metric.name, value, resumes, why)


def _begin(source: Source, workload: Workload) -> _Running:
    race, settings = workload.race, workload.settings
    race_budget = race.budget if race else settings.provisional_budget
    seeds, resources = Seeds.of(SEED), Resources()
    budget = Budget(race_budget.steps, race_budget.seconds)
    point = first_point(source)
    entry = make_entry(workload, source, point, seeds, budget=budget, resources=resources)
    seed_globals(seeds.own)
    batches, observations = [workload.batch_like()], workload.observations_like()
    learner = make_learner(source.framework, entry, batches, observations)
    seed_globals(seeds.own)
    learner.begin()
    return _Running(learner, workload.stream(seeds.stream))


def _train(running: _Running, until: int) -> None:
    policy = LearnersPolicy(running.learner)
    while running.steps < until:
        running.learner.step(lambda: running.stream.next(policy))
        running.steps += 1


def _to_the_end(
    source: Source, workload: Workload, steps: int
) -> tuple[_Running, StateDict | None, str]:
    """The whole of it, and what was kept half-way, or why that cannot be."""
    running = _begin(source, workload)
    _train(running, steps // 2)
    _judged(workload, running, steps // 2)
    running.learner.resume_training()
    state, why = None, ""
    try:
        state = _kept(running)
    except StateError as error:
        why = f"starts over when killed: {error}"
    _train(running, steps)
    return running, state, why


def _judged(workload: Workload, running: _Running, since: int) -> float:
    learner = running.learner
    learner.prepare_evaluation()
    window = learner.drain().window(max(since, 1))
    metrics = workload.evaluate(learner.judged(), "validation", running.stream, window)
    value = metrics[workload.metric.name]
    if not np.isfinite(value):
        raise Diverged(f"{workload.metric.name} is {value} at step {running.steps}")
    if not learner.finite():
        raise Diverged(f"a weight is not finite at step {running.steps}")
    return float(value)


def _kept(running: _Running) -> StateDict:
    """All of it, written to a file and read again."""
    state = {
        "stream": running.stream.state(),
        "learner": running.learner.state(),
        **globals_state(),
        "steps": running.steps,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.safetensors"
        checkpoint.save(path, state)
        return checkpoint.load(path)


def _continued(source: Source, workload: Workload, state: StateDict, steps: int) -> Weights:
    running = _begin(source, workload)
    running.stream.load_state(state["stream"])
    running.learner.load_state(state["learner"])
    load_globals(state)
    running.steps = state["steps"]
    _train(running, steps)
    running.learner.prepare_evaluation()
    running.stream.close()
    return running.learner.weights()


def _see_that_it_moved(weights: Weights, workload: Workload, steps: int) -> None:
    start = workload.initial_weights(Seeds.of(SEED).weights)
    if all(np.array_equal(value, start[name]) for name, value in weights.items()):
        raise SubmissionError(f"no weight changed in {steps} steps")
