"""The replay buffer: the last rows of what every game showed, and n-step samples of them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from scoring.ground.words import StateDict
from workloads.contract import Array


@dataclasses.dataclass(frozen=True)
class Sample:
    """Transitions over n steps, drawn uniformly.

    `following` are the observations n steps after `observations`; where the episode ended before,
    `discounts` is 0, and elsewhere discount ** n.
    """

    observations: Array
    actions: Array
    returns: Array
    discounts: Array
    following: Array


class Replay:
    """A ring of rows, one a step of all games; a row is an observation and what came of it.

    Observations of 0 and 1 are packed into bits. Of the grey frames of ALE each is kept once, and
    stacked again when drawn; before an episode's first frame stand black ones, as in ALE's own.
    """

    def __init__(self, games: int, shape: tuple[int, int, int], rows: int, *, binary: bool) -> None:
        self._rows, self._games, self._shape, self._binary = rows, games, shape, binary
        self._stack = 1 if binary else shape[0]
        self._bits = math.prod(shape)
        frame = (-(-self._bits // 8),) if binary else shape[1:]
        self._frames = np.zeros((rows, games, *frame), np.uint8)
        self._actions = np.zeros((rows, games), np.uint8)
        self._rewards = np.zeros((rows, games), np.float32)
        self._over = np.zeros((rows, games), bool)
        self._seen = 0

    def __len__(self) -> int:
        """How many rows have ever been seen since the buffer was emptied."""
        return self._seen

    def see(self, observations: Array) -> None:
        """Begin a row: uint8 (games, channels, height, width)."""
        slot = self._seen % self._rows
        if self._binary:
            self._frames[slot] = np.packbits(observations.reshape(self._games, -1), axis=1)
        else:
            self._frames[slot] = observations[:, -1]
        self._seen += 1

    def act(self, actions: Array, rewards: Array, over: Array) -> None:
        """Complete the row: what was done, what it earned, and which episodes it ended."""
        slot = (self._seen - 1) % self._rows
        self._actions[slot], self._rewards[slot], self._over[slot] = actions, rewards, over

    def clear(self) -> None:
        """Forget everything."""
        self._seen = 0

    def draw(self, random: np.random.Generator, count: int, n: int, discount: float) -> Sample:
        """`count` transitions of `n` steps each; the newest row has only been begun."""
        oldest = max(0, self._seen - self._rows) + self._stack - 1
        rows = random.integers(oldest, self._seen - n, count)
        games = random.integers(0, self._games, count)
        ahead = (rows[:, None] + np.arange(n)) % self._rows * self._games + games[:, None]
        going = ~self._over.ravel()[ahead]
        np.logical_and.accumulate(going, axis=1, out=going)
        paid = self._rewards.ravel()[ahead]
        paid[:, 1:] *= going[:, :-1]  # what is earned after an episode's end is the next one's
        factors = np.float32(discount) ** np.arange(n, dtype=np.float32)
        both = self._look(np.concatenate([rows, rows + n]), np.concatenate([games, games]))
        return Sample(
            observations=both[:count],
            actions=self._actions.ravel()[ahead[:, 0]].astype(np.int32),
            returns=(paid * factors).sum(1),
            discounts=going[:, -1] * np.float32(discount**n),
            following=both[count:],
        )

    def state(self) -> StateDict:
        """The rows in use."""
        used = slice(0, min(self._seen, self._rows))
        return {
            "seen": self._seen,
            "frames": self._frames[used].copy(),
            "actions": self._actions[used].copy(),
            "rewards": self._rewards[used].copy(),
            "over": self._over[used].copy(),
        }

    def load_state(self, state: StateDict) -> None:
        """Continue where `state` was taken."""
        self._seen = int(state["seen"])
        used = slice(0, min(self._seen, self._rows))
        self._frames[used], self._actions[used] = state["frames"], state["actions"]
        self._rewards[used], self._over[used] = state["rewards"], state["over"]

    def _look(self, rows: Array, games: Array) -> Array:
        """Observations uint8 (count, channels, height, width) as they were in those rows."""
        if self._binary:
            packed = self._frames[rows % self._rows, games]
            if self._bits % 8:
                bits = np.unpackbits(packed, axis=1, count=self._bits)
            else:
                bits = np.unpackbits(packed.ravel())  # several times as quick
            return bits.reshape(-1, *self._shape)
        wanted = rows[:, None] + np.arange(1 - self._stack, 1)
        stacked = self._frames[wanted % self._rows, games[:, None]]
        # A frame belongs to the observation unless an episode ended there or later.
        ended = self._over[wanted[:, :-1] % self._rows, games[:, None]] | (wanted[:, :-1] < 0)
        foreign = np.logical_or.accumulate(ended[:, ::-1], axis=1)[:, ::-1]
        stacked[:, :-1][foreign] = 0
        return stacked
