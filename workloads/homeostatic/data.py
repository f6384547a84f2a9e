"""The stream in which pairs of classes exchange labels for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from scoring.ground.words import StateDict
from workloads.contract import Array, Batch, Event, Policy, Stream
from workloads.images import Labelled
from workloads.numbered import Shuffle

CLASSES = 10
Source = Literal["mnist-5k", "fashion-mnist"]
_ORDER, _SHIFT = 0, 1  # which of a seed's independent random sequences


class ShiftStream(Stream):
    """Shuffled epochs in which two classes drawn at random exchange labels at every shift.

    Shifts are never undone, so that they add up to a random permutation. `periods` are the steps
    between shifts, one a season, 0 where none comes; seasons are `season` steps long and follow
    each other in turn.
    """

    def __init__(
        self, images: Labelled, batch_size: int, periods: Sequence[int], season: int, seed: int
    ) -> None:
        self._images = images
        self._periods = tuple(periods)
        self._season = season
        self._seed = seed
        self._step = 0
        self._permutation = np.arange(CLASSES, dtype=np.int32)
        self._pending: list[list[int]] = []
        self._shuffle = Shuffle(len(images), batch_size, _ORDER)

    @property
    def permutation(self) -> Array:
        """The label now in force for each original class: int32 (10,)."""
        return self._permutation.copy()

    def next(self, policy: Policy) -> Batch:
        """`image` float32 (B, 784) in [0, 1] and `label` int32 (B,) under the labels in force."""
        if self._shift_is_due():
            self._shift()
        rows = self._shuffle(self._seed, self._step)
        self._step += 1
        return self._images.batch(rows, self._permutation)

    def state(self) -> StateDict:
        """Position, labels in force and events not yet told."""
        return {
            "seed": self._seed,
            "step": self._step,
            "permutation": self._permutation.tolist(),
            "pending": [list(classes) for classes in self._pending],
        }

    def load_state(self, state: StateDict) -> None:
        """Continue where `state` was taken."""
        self._seed = int(state["seed"])
        self._step = int(state["step"])
        self._permutation = np.array(state["permutation"], dtype=np.int32)
        self._pending = [list(classes) for classes in state["pending"]]

    def events(self) -> list[Event]:
        """The shifts since the last call, each with the two original classes it concerned."""
        events = [Event("shift", {"classes": [a, b]}) for a, b in self._pending]
        self._pending = []
        return events

    def _shift_is_due(self) -> bool:
        season, since = divmod(self._step, self._season)
        period = self._periods[season % len(self._periods)]
        return self._step > 0 and period > 0 and since % period == 0

    def _shift(self) -> None:
        random = np.random.default_rng((self._seed, _SHIFT, self._step))
        drawn = random.choice(CLASSES, size=2, replace=False)
        first, second = (int(label) for label in drawn)
        self._permutation[[first, second]] = self._permutation[[second, first]]
        self._pending.append([first, second])
