"""A learner that is built, compiled and warmed up, on a rank of a trial or as the reference."""

from __future__ import annotations

from cluster.learners import make_learner
from cluster.learners.contract import Learner, Rank
from cluster.learners.entry import Seeds, make_entry
from cluster.process import seed_globals
from cluster.spec import Pace, TrialSpec
from workloads.contract import Workload

WARM_UP_STEPS = 3


def compiled(
    spec: TrialSpec,
    workload: Workload,
    raced: Pace | TrialSpec,
    seeds: Seeds,
    rank: Rank | None = None,
) -> Learner:
    """The learner of a submission, compiled and warmed up."""
    entry = make_entry(
        workload,
        raced.source,
        raced.hyperparameters,
        seeds,
        budget=spec.budget,
        resources=spec.resources,
        rank=rank,
    )
    seed_globals(seeds.own)
    batches = [workload.batch_like(seed) for seed in range(WARM_UP_STEPS)]
    observations = workload.observations_like()
    return make_learner(raced.source.framework, entry, batches, observations)
