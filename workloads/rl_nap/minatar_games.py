"""MinAtar (Young and Tian, arXiv 1903.03176) in lock step, with states that can be kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from minatar import Environment

from scoring.ground.words import StateDict
from workloads.contract import Array
from workloads.rl_nap.games import Games

_FIXED = frozenset({"channels", "action_map", "random", "ramping"})
"""What a game of the package holds besides its own state."""


class MinAtarGames(Games):
    """Copies of a MinAtar game, each with its own random numbers; actions stick 1 time in 10.

    `actions` are the package's numbers of the actions 0, 1, ... Channels that the game does not
    have stay 0.
    """

    can_continue = True

    def __init__(
        self, game: str, seeds: Sequence[int], actions: Sequence[int], shape: tuple[int, ...]
    ) -> None:
        self._actions = tuple(actions)
        self._shape = (len(seeds), *shape)
        self._copies = [Environment(game) for _ in seeds]
        for copy, seed in zip(self._copies, seeds, strict=True):
            copy.seed(int(seed))
            copy.reset()
        self.observations = np.zeros(self._shape, np.uint8)
        self._look(range(len(seeds)))

    def step(self, actions: Array, only: Array | None = None) -> tuple[Array, Array]:
        """See `Games.step`."""
        rewards = np.zeros(len(self._copies), np.float32)
        over = np.zeros(len(self._copies), bool)
        moving = range(len(self._copies)) if only is None else np.flatnonzero(only).tolist()
        for index in moving:
            copy = self._copies[index]
            rewards[index], over[index] = copy.act(self._actions[actions[index]])
            if over[index]:
                copy.reset()
        self._look(moving)
        return rewards, over

    def state(self) -> StateDict:
        """Each copy's attributes and last action, and the state of its Mersenne twister."""
        twisters = [copy.random.get_state(legacy=False) for copy in self._copies]
        return {
            "games": [
                {
                    name: _plain(value)
                    for name, value in vars(copy.env).items()
                    if name not in _FIXED
                }
                for copy in self._copies
            ],
            "last_action": [int(copy.last_action) for copy in self._copies],
            "keys": np.stack([twister["state"]["key"] for twister in twisters]),
            "positions": [int(twister["state"]["pos"]) for twister in twisters],
        }

    def load_state(self, state: StateDict) -> None:
        """See `Games.load_state`."""
        for index, copy in enumerate(self._copies):
            for name, value in state["games"][index].items():
                setattr(copy.env, name, _plain(value))
            copy.last_action = state["last_action"][index]
            copy.random.set_state(("MT19937", state["keys"][index], state["positions"][index]))
        self._look(range(len(self._copies)))

    def _look(self, moved: Iterable[int]) -> None:
        self.observations = self.observations.copy()
        for index in moved:
            state = self._copies[index].state()  # (10, 10, channels)
            self.observations[index, : state.shape[2]] = state.transpose(2, 0, 1)


def _plain(value: object) -> Any:
    """A copy in which numpy's scalars, which some games keep in lists, are Python's."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.copy()
    return value.item() if isinstance(value, np.generic) else value
