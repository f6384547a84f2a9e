"""Warm-up before the clock starts: everything is built and compiled on throw-away state."""

from __future__ import annotations

import sys

from cluster.learners.compiled import compiled
from cluster.learners.contract import Learner
from cluster.learners.entry import Seeds
from cluster.spec import TrialSpec
from cluster.trial.pacer import Pacer
from workloads.contract import Workload


def warm_learner(spec: TrialSpec, workload: Workload, seeds: Seeds) -> Learner:
    """The submission's learner, after steps whose results are thrown away.

    Nothing is evaluated: evaluations are never on the clock, the first as little as the others.
    """
    learner = _leading(spec, workload, seeds)
    learner.drain()
    learner.synchronize()
    return learner


def warm_pacer(spec: TrialSpec, workload: Workload) -> Pacer | None:
    """The reference in training, where the trial takes turns with it.

    Comes before the submission is there: what that sets or seeds, it sets after.
    """
    if spec.pace is None:
        return None
    seeds = Seeds.of(spec.seed + 1)
    learner = compiled(spec, workload, spec.pace, seeds)
    learner.begin()
    pacer = Pacer(learner, workload.stream(seeds.stream), workload.settings.step_hint)
    pacer.turn()  # the first batch may fill a replay memory; the first steps, the caches
    return pacer


def compilations() -> int:
    """How often anything was compiled in this process: never between a clock's start and end."""
    count = 0
    # Whose learner is not imported has compiled nothing.
    if "cluster.learners.compiled_torch" in sys.modules:
        from cluster.learners import compiled_torch

        count += compiled_torch.compilations()
    if "cluster.learners.compiled_jax" in sys.modules:
        from cluster.learners import compiled_jax

        count += compiled_jax.compilations()
    return count


def _leading(spec: TrialSpec, workload: Workload, seeds: Seeds) -> Learner:
    """Rank 0's, where a trial has several."""
    if spec.resources.ranks == 1:
        return compiled(spec, workload, spec, seeds)
    from cluster.trial.ranks import Team, TeamLearner

    team = Team(spec)
    return TeamLearner(team, compiled(spec, workload, spec, seeds, team.rank))
