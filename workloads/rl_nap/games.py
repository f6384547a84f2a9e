"""Games played in lock step: what every kind of them can do, and how a policy plays them."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence

import numpy as np

from scoring.ground.words import StateDict
from workloads.contract import Array


class Games(abc.ABC):
    """Copies of games played in lock step; one that ends begins anew at once."""

    observations: Array
    """What is seen now: uint8 (copies, channels, height, width)."""
    can_continue: bool
    """Whether `state` holds all that `load_state` needs to go on where it was taken."""

    @abc.abstractmethod
    def step(self, actions: Array) -> tuple[Array, Array]:
        """Rewards float32 (copies,), and whether an episode ended, bool (copies,)."""

    @abc.abstractmethod
    def state(self) -> StateDict:
        """Every copy's state: JSON values and numpy arrays; empty where it cannot be had."""

    @abc.abstractmethod
    def load_state(self, state: StateDict) -> None:
        """Continue where `state` was taken."""

    def close(self) -> None:  # noqa: B027
        """Release threads."""


class Together(Games):
    """Several games side by side: the copies of the first, then those of the second, and so on."""

    def __init__(self, games: Sequence[Games]) -> None:
        self._games = tuple(games)
        self._ends = np.cumsum([len(each.observations) for each in games])[:-1]
        self.can_continue = all(each.can_continue for each in games)
        self._see()

    def step(self, actions: Array) -> tuple[Array, Array]:
        """See `Games.step`."""
        parts = np.split(actions, self._ends)
        came = [each.step(part) for each, part in zip(self._games, parts, strict=True)]
        self._see()
        rewards, over = zip(*came, strict=True)
        return np.concatenate(rewards), np.concatenate(over)

    def state(self) -> StateDict:
        """Each game's."""
        return {"each": [each.state() for each in self._games]}

    def load_state(self, state: StateDict) -> None:
        """See `Games.load_state`."""
        for each, its in zip(self._games, state["each"], strict=True):
            each.load_state(its)
        self._see()

    def close(self) -> None:
        """End the threads of each."""
        for each in self._games:
            each.close()

    def _see(self) -> None:
        self.observations = np.concatenate([each.observations for each in self._games])


def play(games: Games, act: Callable[[Array], Array], limit: int) -> Array:
    """Undiscounted return float64 (copies,) of the first episode of each copy.

    `act` maps observations to actions (copies,) and always sees all copies, so that it is
    compiled once. An episode is cut off after `limit` steps.
    """
    going = np.ones(len(games.observations), bool)
    returns = np.zeros(len(going))
    for _ in range(limit):
        rewards, over = games.step(act(games.observations))
        returns += rewards * going
        going &= ~over
        if not going.any():
            break
    return returns
