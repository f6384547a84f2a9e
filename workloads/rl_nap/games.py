"""Games played in lock step: what every kind of them can do, and how a policy plays them."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from scoring.ground.words import StateDict
from workloads.contract import Array


class Games(abc.ABC):
    """Copies of a game played in lock step; one that ends begins anew at once."""

    observations: Array
    """What is seen now: uint8 (copies, channels, height, width)."""
    can_continue: ClassVar[bool]
    """Whether `state` holds all that `load_state` needs to go on where it was taken."""

    @abc.abstractmethod
    def step(self, actions: Array, only: Array | None = None) -> tuple[Array, Array]:
        """Rewards float32 (copies,), and whether an episode ended, bool (copies,).

        With `only`, bool (copies,), the others may stand still; theirs mean nothing.
        """

    @abc.abstractmethod
    def state(self) -> StateDict:
        """Every copy's state: JSON values and numpy arrays; empty where it cannot be had."""

    @abc.abstractmethod
    def load_state(self, state: StateDict) -> None:
        """Continue where `state` was taken."""

    def close(self) -> None:  # noqa: B027
        """Release threads."""


def play(games: Games, act: Callable[[Array], Array], limit: int) -> Array:
    """Undiscounted return float64 (copies,) of the first episode of each copy.

    `act` maps observations to actions (copies,) and always sees all copies, so that it is
    compiled once. An episode is cut off after `limit` steps.
    """
    going = np.ones(len(games.observations), bool)
    returns = np.zeros(len(going))
    for _ in range(limit):
        rewards, over = games.step(act(games.observations), going)
        returns[going] += rewards[going]
        going &= ~over
        if not going.any():
            break
    return returns
