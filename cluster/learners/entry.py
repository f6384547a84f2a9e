"""Assembles a learner's parts, for a trial and for `gradathlon check` alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from cluster.learners.contract import Build, Entry, Rank, make_card
from scoring.ground.words import Budget, Resources, Role
from submissions.contract import Card
from submissions.load import build, execute
from submissions.source import Source
from workloads.contract import Workload

_UNNAMED: Mapping[Role, Role] = {"head": "weight", "tensor": "weight"}
"""What a role falls back to in a file that has nothing for it."""


@dataclasses.dataclass(frozen=True)
class Seeds:
    """One seed for each thing that is drawn, all made from the trial's own."""

    weights: int
    stream: int
    loss: int
    own: int

    @classmethod
    def of(cls, seed: int) -> Seeds:
        """Independent seeds from one."""
        return cls(*map(int, np.random.SeedSequence(seed).generate_state(4)))


def make_entry(  # noqa: PLR0913 - what it is made of, each by its name
    workload: Workload,
    source: Source,
    hyperparameters: Mapping[str, object],
    seeds: Seeds,
    *,
    budget: Budget,
    resources: Resources,
    rank: Rank | None = None,
) -> Entry:
    """Run the submission's file and put it beside the workload and its initial weights.

    Raises:
        SubmissionError: the file cannot be run.
    """
    module = execute(source)
    card = make_card(workload, budget, seeds.own)
    plain = dataclasses.replace(
        card, roles={name: _UNNAMED.get(role, role) for name, role in card.roles.items()}
    )

    def made_with(shown: Card) -> Build:
        return lambda params: build(module, source, hyperparameters, params=params, card=shown)

    return Entry(
        workload=workload,
        weights=workload.initial_weights(seeds.weights),
        build=made_with(card),
        module=module,
        closure=source.closure,
        seed=seeds.loss,
        resources=resources,
        build_by_shape=made_with(plain),
        rank=rank,
    )
