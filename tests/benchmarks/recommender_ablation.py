"""What the parts of the recommender are worth: trained without one, or judged without it.

    python -m tests.benchmarks.recommender_ablation [--seeds N] [--steps N]

NadamW at the reference's point in JAX, over a horizon. Prints Markdown: the judged NDCG@100, which
is the mean over the last six evaluations, with its range over seeds; that of the test users is at
the end.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Callable, Iterator
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

import workloads
from submissions.contract import Card
from submissions.methods.baselines import nadamw_jax
from suite.text_table import markdown
from workloads.contract import Array, Batch, Stream
from workloads.model_jax import Arrays
from workloads.recommender import baselines, data, movielens
from workloads.recommender.settings import NDCG
from workloads.recommender.workload import Recommender

ID = "recommender-toy-v3"
LIKED = 4
Change = Callable[[Batch], Batch]


def unchanged(batch: Batch) -> Batch:
    """All that the model is told."""
    return batch


def without_attributes(batch: Batch) -> Batch:
    """Every user has the first value of each attribute."""
    return batch | {"fields": np.broadcast_to(movielens.OFFSETS, batch["fields"].shape)}


def without_profile(batch: Batch) -> Batch:
    """Every user's profile is the first film, over and over."""
    return batch | {"profile": np.zeros_like(batch["profile"])}


def without_genres(batch: Batch) -> Batch:
    """Every film has no genre and the first period."""
    return batch | {name: np.zeros_like(batch[name]) for name in ("genres", "period")}


def shuffled(name: str, axis: int = 0) -> Change:
    """Who or what has which is drawn anew."""

    def change(batch: Batch) -> Batch:
        order = np.random.default_rng(0).permutation(batch[name].shape[axis])
        return batch | {name: np.take(batch[name], order, axis)}

    return change


@dataclasses.dataclass(frozen=True)
class Without:
    """A model trained and judged in one way; `id_drop` and `contrast` None are the workload's."""

    name: str
    change: Change = unchanged
    contrast: float | None = None
    id_drop: float | None = None


TRAINED = (
    Without("the workload"),
    Without("no contrast", contrast=0.0),
    Without("users' ids never shown, no contrast", contrast=0.0, id_drop=1.0),
    Without("users' attributes all alike: the profile alone", without_attributes),
    Without("users' profiles all alike: the attributes alone", without_profile),
    Without("films' genres and periods all alike: their ids alone", without_genres),
)
JUDGED: dict[str, Change] = {
    "users' attributes shuffled among users": shuffled("fields"),
    "profiles shuffled among users": shuffled("profile"),
    "genres shuffled among films": shuffled("genres", axis=1),
    "periods shuffled among films": shuffled("period", axis=1),
}


class Trained:
    """The workload without something, trained from one seed."""

    def __init__(self, without: Without, seed: int, steps: int) -> None:
        stated = cast(Recommender, workloads.get(ID))
        model, numbers = stated.settings.model, stated.settings.data
        contrast = model.contrast if without.contrast is None else without.contrast
        drop = numbers.id_drop if without.id_drop is None else without.id_drop
        settings = stated.settings.model_copy(
            update={
                "model": model.model_copy(update={"contrast": contrast}),
                "data": numbers.model_copy(update={"id_drop": drop}),
            }
        )
        self.workload = Recommender(stated.id, settings, stated.metric, None)
        self.change = without.change
        self._predict = jax.jit(self.workload.jax_model().predict)
        self.kept = list(self._train(self.workload.stream(seed), seed, steps))

    def judge(
        self, group: data.Group = "validation", then: Change = unchanged, kept: int | None = None
    ) -> float:
        """Mean NDCG@100 over users, and over the last `kept` evaluations (None: those judged)."""
        window = self.workload.metric.window if kept is None else kept
        values = []
        for params in self.kept[-window:]:
            judged = self.workload._batches[group]
            rows = [self._predict(params, then(self.change(batch)))[NDCG] for batch in judged]
            values.append(float(np.concatenate(rows).mean()))
        return statistics.fmean(values)

    def _train(self, stream: Stream, seed: int, steps: int) -> Iterator[Arrays]:
        """The weights at the last evaluations."""
        workload, model = self.workload, self.workload.jax_model()
        race = workloads.get(ID).race
        assert race is not None
        roles = {name: spec.role for name, spec in workload.parameters().items()}
        card = cast(Card, _Card(steps, roles))
        optimizer = nadamw_jax.submission(card, **race.reference["jax"].hyperparameters)  # type: ignore[arg-type]
        params = {name: jnp.asarray(w) for name, w in workload.initial_weights(seed).items()}
        state = optimizer.init(params)

        @jax.jit
        def step(
            params: Arrays, state: optax.OptState, batch: Arrays
        ) -> tuple[Arrays, optax.OptState]:
            # No part of this model is random.
            gradient = jax.grad(lambda p: model.loss(p, batch, jax.random.key(0))[0])(params)
            updates, state = optimizer.update(gradient, state, params)
            return optax.apply_updates(params, updates), state

        period, window = workload.settings.evaluation_period, workload.metric.window
        for number in range(1, steps + 1):
            batch = self.change(stream.next(_nobody))
            params, state = step(params, state, batch)
            if number % period == 0 and number > steps - window * period:
                yield params


@dataclasses.dataclass(frozen=True)
class _Card:
    step_hint: int
    roles: dict[str, str]


def _nobody(observations: Array) -> Array:
    raise AssertionError("this stream asks nobody")


def liked_alone(batches: list[Batch]) -> list[Batch]:
    """The validation users' batches, where ratings below `LIKED` stars are not to be found."""
    films = movielens.load("ml-100k")
    counts = np.bincount(films.user)
    starts = np.concatenate([[0], np.cumsum(counts)])
    order = np.lexsort((np.arange(len(counts)), films.time[starts[:-1]]))
    split = data.load("ml-100k", 10)
    people = split.cold_group("validation")
    row, found = 0, []
    for batch in batches:
        status = batch["status"].copy()
        for at in range(len(status)):
            number = order[split.warm_users + people[row % len(people)]]
            own = slice(starts[number], starts[number + 1])
            poor = films.item[own][films.stars[own] < LIKED]
            status[at, poor[status[at, poor] == data.RELEVANT]] = 0
            row += 1
        found.append(batch | {"status": status})
    return found


def main() -> None:
    """Train, judge, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=workloads.get(ID).settings.step_hint)
    asked = parser.parse_args()
    whole: list[Trained] = []
    rows = []
    for without in TRAINED:
        trials = [Trained(without, seed, asked.steps) for seed in range(asked.seeds)]
        whole = whole or trials
        rows.append((without.name, *_told(trials)))
    print(markdown(("trained and judged with", "validation", "test"), rows))
    rows = [("all that it was trained with", *_told(whole))]
    rows += [(name, *_told(whole, change)) for name, change in JUDGED.items()]
    print(markdown(("the workload's model, judged with", "validation", "test"), rows))
    workload = whole[0].workload
    liked = liked_alone(workload._batches["validation"])
    for trial in whole:
        trial.workload._batches["validation"] = liked
    split = data.load("ml-100k", workload.settings.data.profile)
    linear = baselines.judge(baselines.ease(split.rated.astype(np.float64)), liked)
    found = _range([trial.judge() for trial in whole])
    print(f"{LIKED} stars or more alone to be found, validation: {found}; EASE {linear:.3f}")


def _told(trials: list[Trained], change: Change = unchanged) -> tuple[str, str]:
    return (
        _range([trial.judge("validation", change) for trial in trials]),
        _range([trial.judge("test", change, kept=1) for trial in trials]),
    )


def _range(values: list[float]) -> str:
    return f"{statistics.fmean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
