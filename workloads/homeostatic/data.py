"""The stream in which pairs of classes exchange labels for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from scoring.ground.words import StateDict
from workloads.contract import Array, Batch, Event, Policy, Stream
from workloads.images import Labelled

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
        self._batch_size = batch_size
        self._periods = tuple(periods)
        self._season = season
        self._seed = seed
        self._step = 0
        self._permutation = np.arange(CLASSES, dtype=np.int32)
        self._pending: list[list[int]] = []
        self._epoch = -1
        self._order: Array = np.empty(0, dtype=np.int64)

    @property
    def permutation(self) -> Array:
        """The label now in force for each original class: int32 (10,)."""
        return self._permutation.copy()

    def next(self, policy: Policy) -> Batch:
        """`image` float32 (B, 784) in [0, 1] and `label` int32 (B,) under the labels in force."""
        if self._shift_is_due():
            self._shift()
        # The last images of an epoch that do not fill a batch are left out: other ones each time.
        epoch, position = divmod(self._step, len(self._images) // self._batch_size)
        if epoch != self._epoch:
            self._order = self._random(_ORDER, epoch).permutation(len(self._images))
            self._epoch = epoch
        start = position * self._batch_size
        self._step += 1
        return self._images.batch(self._order[start : start + self._batch_size], self._permutation)

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
        self._epoch = -1

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
        drawn = self._random(_SHIFT, self._step).choice(CLASSES, size=2, replace=False)
        first, second = (int(label) for label in drawn)
        self._permutation[[first, second]] = self._permutation[[second, first]]
        self._pending.append([first, second])

    def _random(self, sequence: int, index: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, sequence, index))
