"""Games of the Arcade Learning Environment (Bellemare et al. 2013), in its vector environment."""

from __future__ import annotations

import numpy as np

from scoring.ground.words import StateDict
from workloads.contract import Array
from workloads.rl_nap.games import Games

STICKY = 0.25
"""How often the last action is repeated instead (Machado et al. 2018)."""


class AleGames(Games):
    """Copies of an Atari game: four grey frames of 84 x 84, each the maximum of two in four.

    The package cannot save a vector environment, so that a resumed trial begins new episodes.
    """

    can_continue = False

    def __init__(
        self, game: str, copies: int, seed: int, *, every_action: bool, clip: bool
    ) -> None:
        from ale_py.vector_env import AtariVectorEnv
        from gymnasium.vector import AutoresetMode

        self._vector = AtariVectorEnv(
            game,
            copies,
            repeat_action_probability=STICKY,
            full_action_space=every_action,
            reward_clipping=clip,
            autoreset_mode=AutoresetMode.SAME_STEP,
        )
        # It takes one seed, and counts on from it.
        self.observations: Array = np.array(self._vector.reset(seed=seed % 2**31)[0])

    def step(self, actions: Array) -> tuple[Array, Array]:
        """See `Games.step`."""
        seen, rewards, terminated, truncated, _ = self._vector.step(actions.astype(np.int64))
        self.observations = np.array(seen)
        return rewards.astype(np.float32), terminated | truncated

    def state(self) -> StateDict:
        """Nothing: it cannot be had."""
        return {}

    def load_state(self, state: StateDict) -> None:
        """Nothing: there is no state."""

    def close(self) -> None:
        """End its threads."""
        self._vector.close()
