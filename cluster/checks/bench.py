"""The bench of `gradathlon check`: a submission trained for a few steps on random batches."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import workloads
from cluster import checkpoint
from cluster.guards.world import end_copies
from cluster.learners import make_learner
from cluster.learners.contract import Entry, Learner
from cluster.learners.entry import Seeds, make_entry
from cluster.process import globals_state, load_globals, seed_globals
from scoring.ground.words import Budget, Resources
from submissions.source import Source
from workloads.contract import Batch, Weights

_SEED = 20
_SEEDS = Seeds(_SEED, _SEED, _SEED, _SEED)


class Bench:
    """Trains one submission on random batches of one workload, as often as is asked.

    Its card is that of a real trial, so that schedules are as long as they will be.
    """

    def __init__(
        self, source: Source, workload_id: str, resources: Resources | None = None
    ) -> None:
        self.source = source
        self.resources = resources or Resources()
        self.workload = workloads.get(workload_id)
        self.weights = self.workload.initial_weights(_SEED)
        race, settings = self.workload.race, self.workload.settings
        budget = race.budget if race else settings.provisional_budget
        self.budget = Budget(budget.steps, budget.seconds)

    def entry(self, hyperparameters: Mapping[str, object]) -> Entry:
        """What a learner of these hyperparameters is made of."""
        return make_entry(
            self.workload,
            self.source,
            hyperparameters,
            _SEEDS,
            budget=self.budget,
            resources=self.resources,
        )

    def run(
        self,
        hyperparameters: Mapping[str, object],
        steps: int,
        evaluated_at: Collection[int] = (),
        *,
        interrupted: bool = False,
    ) -> Weights:
        """The weights after some steps, with evaluations before some of them.

        When it is interrupted, each evaluation is followed by a checkpoint, and what goes on is
        a new learner, made of that checkpoint.

        Raises:
            StateError: what the submission remembers cannot be kept, and is asked for.
        """
        draw, process = self._batches(), os.getpid()
        learner = self._begin(hyperparameters)
        for step in range(steps):
            if step in evaluated_at:
                learner.prepare_evaluation()
                learner.resume_training()
                learner = self._resumed(learner, hyperparameters) if interrupted else learner
            learner.step(draw)
            end_copies(process)
        learner.prepare_evaluation()
        learner.judged().measure(self.workload.batch_like())
        learner.resume_training()
        return learner.weights()

    def _batches(self) -> Callable[[], Batch]:
        seeds = iter(range(10**9))
        return lambda: self.workload.batch_like(next(seeds))

    def _begin(self, hyperparameters: Mapping[str, object]) -> Learner:
        entry = self.entry(hyperparameters)
        seed_globals(_SEED)
        observations = self.workload.observations_like()
        batches = [self.workload.batch_like()]
        learner = make_learner(self.source.framework, entry, batches, observations)
        seed_globals(_SEED)
        learner.begin()
        return learner

    def _resumed(self, learner: Learner, hyperparameters: Mapping[str, object]) -> Learner:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "checkpoint.safetensors"
            checkpoint.save(path, {"learner": learner.state()})
            drawn = globals_state()
            fresh = self._begin(hyperparameters)
            fresh.load_state(checkpoint.load(path)["learner"])
        load_globals(drawn)
        return fresh
