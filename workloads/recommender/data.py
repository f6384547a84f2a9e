"""Warm users to learn from, cold users to judge by, and the batches of both.

Users are ordered by their first rating; the first four fifths are warm. Of a cold user the model
is told attributes and a small profile of rated films, drawn once and for all; every other film
that the user rated is relevant. Any rating counts as a choice, whatever its stars.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Literal

import numpy as np

from workloads.contract import Array, Batch
from workloads.errors import WorkloadError
from workloads.recommender import movielens
from workloads.recommender.stream import fixed_order

Group = Literal["validation", "test", "warm"]

WARM_SHARE = 0.8
HELD_OUT_SHARE = 0.1
"""The share of a warm user's ratings, the last in time, that is not trained on."""
TEST_EVERY = 3
"""Of the cold users, ordered by their number of ratings, each third one tests."""
WARM_EVERY = 3
"""Of the warm users, each third one is looked at when warm users are judged."""
RELEVANT, SEEN = 1, 2
"""A film's status for a user: to be found, or known already and left out of the ranking."""


@dataclasses.dataclass(frozen=True)
class Histories:
    """Films of each of several users, one user after the other.

    Attributes:
        items: int32 (ratings,).
        starts: int64 (users + 1,), where each user's films begin.
    """

    items: Array
    starts: Array

    def of(self, user: int) -> Array:
        """The films of one user, in the order of time."""
        return self.items[self.starts[user] : self.starts[user + 1]]


@dataclasses.dataclass(frozen=True)
class Split:
    """Films of the warm users (trained on, and held out) and of the cold ones.

    Warm users are numbered by their first rating; `fields` are all users', warm ones first.
    `catalogue` is what every batch says of the films: `genres` uint8 (1, items, 19) and `period`
    int32 (1, items).
    """

    train: Histories
    held_out: Histories
    cold: Histories
    fields: Array
    catalogue: Batch
    owner: Array
    """Which warm user each rating trained on belongs to: int32 (ratings,)."""

    @functools.cached_property
    def rated(self) -> Array:
        """Which films trained on each warm user has rated: uint8 (warm users, items), 0 or 1."""
        matrix = np.zeros((self.warm_users, self.items), np.uint8)
        matrix[self.owner, self.train.items] = 1
        return matrix

    @property
    def warm_users(self) -> int:
        """How many users are warm."""
        return len(self.train.starts) - 1

    @property
    def items(self) -> int:
        """How many films there are."""
        return self.catalogue["period"].shape[1]

    def cold_group(self, group: Group) -> list[int]:
        """The cold users of one group, of which every third one, by number of ratings, tests."""
        counts = np.diff(self.cold.starts)
        by_count = np.lexsort((np.arange(len(counts)), counts))
        tests = np.arange(len(counts)) % TEST_EVERY == TEST_EVERY - 1
        return sorted(int(user) for user in by_count[tests == (group == "test")])


def warm_count(users: int) -> int:
    """How many of all users are warm."""
    return int(WARM_SHARE * users)


@functools.cache
def load(source: movielens.Source, profile: int) -> Split:
    """The split of a source, whose users must have rated enough for a profile of that size.

    Raises:
        WorkloadError: the files are missing, damaged, or tell too little of a user.
    """
    films = movielens.load(source)
    users = len(films.fields)
    counts = np.bincount(films.user, minlength=users)
    few = int(counts.argmin())
    # One film to predict beside the profile, and a warm user's last tenth, rounded up.
    need = profile + 2 + profile // 8
    if counts[few] < need:
        raise WorkloadError(
            f"{source}: user number {few + 1} rated {counts[few]} films; {need} are needed; "
            "fetch the files again"
        )
    starts = np.concatenate([[0], np.cumsum(counts)])
    order = np.lexsort((np.arange(users), films.time[starts[:-1]]))
    warm, cold = np.split(order, [warm_count(users)])
    everything = Histories(films.item, starts)
    last = np.maximum(1, (HELD_OUT_SHARE * counts).astype(np.int64))
    train = _histories([everything.of(user)[: -last[user]] for user in warm])
    sizes = np.diff(train.starts)
    return Split(
        train=train,
        held_out=_histories([everything.of(user)[-last[user] :] for user in warm]),
        cold=_histories([everything.of(user) for user in cold]),
        fields=films.fields[order],
        catalogue={"genres": films.genres[None], "period": films.period[None]},
        owner=np.repeat(np.arange(len(warm), dtype=np.int32), sizes),
    )


def _histories(films: Sequence[Array]) -> Histories:
    sizes = [len(one) for one in films]
    return Histories(np.concatenate(films), np.concatenate([[0], np.cumsum(sizes)]))


def draw_profiles(sizes: Array, positives: Array, count: int, random: np.random.Generator) -> Array:
    """For each history of `sizes` films, `count` positions other than the positive's.

    Distinct, and every set of them equally likely (Floyd's algorithm): int64 (histories, count).
    """
    chosen = np.full((len(sizes), count), -1, np.int64)
    others = sizes - 1
    for column in range(count):
        last = others - count + column
        drawn = random.integers(0, last + 1)
        again = (chosen == drawn[:, None]).any(axis=1)
        chosen[:, column] = np.where(again, last, drawn)
    return chosen + (chosen >= positives[:, None])


class TrainingBatches:
    """Makes training batches: rated films, each with a profile drawn anew from the same user.

    The film to be found is never in its own profile, nor among those `known` to have been rated,
    which are no wrong answers. `user_kept` is 0 where the user is to be
    known by attributes and profile alone, which is so with probability `id_drop`.
    """

    def __init__(self, split: Split, profile: int, id_drop: float) -> None:
        self._split = split
        self._profile = profile
        self._id_drop = id_drop

    def __call__(self, rows: Array, random: np.random.Generator) -> Batch:
        """The batch whose positives are the ratings number `rows`; see `batch_like`."""
        split, train = self._split, self._split.train
        user = split.owner[rows]
        starts = train.starts[user]
        sizes = train.starts[user + 1] - starts
        places = draw_profiles(sizes, rows - starts, self._profile, random)
        kept = random.random(len(rows)) >= self._id_drop
        rated = split.rated[user]
        rated[np.arange(len(rows)), train.items[rows]] = 0
        return {
            # Copies: what is done to a batch must not reach the next one.
            **{name: array.copy() for name, array in split.catalogue.items()},
            "user": user,
            "user_kept": kept.astype(np.float32),
            "fields": split.fields[user],
            "profile": train.items[starts[:, None] + places],
            "known": rated,
            "item": train.items[rows],
        }


def ranking_batches(split: Split, group: Group, profile: int, draws: int, rows: int) -> list[Batch]:
    """Batches of at most `rows` users to be judged, each user with `draws` fixed profiles.

    Without `item`; instead `status` uint8 (rows, items) says what is to be found and what is
    known. The id of a cold user is 0 and not kept; `group` "warm" takes every warm user, whose
    profile is drawn from the films trained on and who is to find the last ones.
    """
    warm = group == "warm"
    everyone = range(0, split.warm_users, WARM_EVERY) if warm else split.cold_group(group)
    history = split.train if warm else split.cold
    number = 0 if warm else split.warm_users
    pairs = [(user, draw) for draw in range(draws) for user in everyone]
    batches = []
    for start in range(0, len(pairs), rows):
        part = pairs[start : start + rows]
        users = np.array([user for user, _ in part], np.int32)
        profiles = [_fixed_profile(history.of(u), number + u, draw, profile) for u, draw in part]
        status = np.zeros((len(part), split.items), np.uint8)
        for row, (user, profiled) in enumerate(zip(users, profiles, strict=True)):
            if warm:
                status[row, split.held_out.of(user)] = RELEVANT
                status[row, split.train.of(user)] = SEEN
            else:
                status[row, history.of(user)] = RELEVANT
                status[row, profiled] = SEEN
        batches.append(
            {
                "user": users if warm else np.zeros_like(users),
                "user_kept": np.full(len(part), warm, np.float32),
                "fields": split.fields[number + users],
                "profile": np.stack(profiles),
                "status": status,
                **split.catalogue,
            }
        )
    return batches


def _fixed_profile(items: Array, user: int, draw: int, count: int) -> Array:
    """Some of a user's films, drawn as it were at random, and the same for ever."""
    keys = fixed_order(items.astype(np.int64) + (user << 24) + (draw << 48))
    return items[np.argsort(keys)[:count]]
