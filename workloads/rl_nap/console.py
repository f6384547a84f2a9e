"""What a network plays on: which games there are, and how they are had and started."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from workloads.errors import WorkloadError
from workloads.rl_nap.games import Games, Together

Source = Literal["minatar", "ale"]
SIDE: dict[Source, int] = {"minatar": 10, "ale": 84}
"""Height and width of an observation."""
FRAMES = 4
"""How many grey frames in a row make an observation of ALE."""
ACTIONS: dict[Source, int] = {"minatar": 6, "ale": 18}
"""How many actions there are in all; a single game needs only some of them."""
MINATAR_CHANNELS = {"asterix": 4, "breakout": 4, "catch": 2, "space_invaders": 6}
MINATAR_ACTIONS: dict[str, tuple[int, ...]] = {
    "asterix": (0, 1, 2, 3, 4),
    "breakout": (0, 1, 3),
    "catch": (0, 1, 3),
    "space_invaders": (0, 1, 3, 5),
}
ALE_ACTIONS = {
    "asterix": 9,
    "breakout": 4,
    "ms_pacman": 9,
    "pong": 6,
    "qbert": 6,
    "seaquest": 18,
    "space_invaders": 6,
}
KNOWN: dict[Source, list[str]] = {"minatar": list(MINATAR_ACTIONS), "ale": list(ALE_ACTIONS)}


@dataclasses.dataclass(frozen=True)
class Console:
    """What one network plays on: the source of the games, and the games in their order.

    One network sees and steers every game: with several games, observations have as many
    channels as the richest, and actions are all that the source has. One game alone is played
    with the actions that have an effect in it.
    """

    source: Source
    games: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an observation, uint8 (channels, height, width)."""
        side = SIDE[self.source]
        if self.source == "ale":
            return FRAMES, side, side
        return max(MINATAR_CHANNELS[game] for game in self.games), side, side

    @property
    def binary(self) -> bool:
        """Whether an observation holds nothing but 0 and 1."""
        return self.source == "minatar"

    @property
    def actions(self) -> int:
        """How many actions the network chooses among."""
        if len(self.games) > 1:
            return ACTIONS[self.source]
        (game,) = self.games
        return ALE_ACTIONS[game] if self.source == "ale" else len(MINATAR_ACTIONS[game])

    def fetch(self) -> None:
        """Make sure that the games are installed; those with MinAtar's rules are our own.

        Raises:
            WorkloadError: they are not; the message says how to install them.
        """
        if self.source == "minatar":
            return
        try:
            import ale_py.vector_env  # noqa: F401
        except ImportError as error:
            raise WorkloadError(
                f"{', '.join(self.games)}: the Arcade Learning Environment cannot be imported "
                f"({error}); run `pip install 'gradathlon[rl]'`"
            ) from None

    def start(self, games: Sequence[str], copies: int, seed: int, *, judged: bool = False) -> Games:
        """So many copies of each of these games, each at the start of an episode.

        Where they are `judged`, rewards are the games' own; training on ALE sees only their sign.

        Raises:
            WorkloadError: the games are not installed.
        """
        self.fetch()
        seeds = np.random.SeedSequence(seed).generate_state(len(games)).tolist()
        started = [
            self._start(game, copies, its, judged=judged)
            for game, its in zip(games, seeds, strict=True)
        ]
        return started[0] if len(started) == 1 else Together(started)

    def _start(self, game: str, copies: int, seed: int, *, judged: bool) -> Games:
        several = len(self.games) > 1
        if self.source == "ale":
            from workloads.rl_nap.ale_games import AleGames

            return AleGames(game, copies, seed, every_action=several, clip=not judged)
        from workloads.rl_nap.catch_game import Catch
        from workloads.rl_nap.minatar_games import Asterix, Breakout, MinAtarGame, SpaceInvaders

        kinds: dict[str, Callable[..., MinAtarGame]] = {
            "asterix": Asterix,
            "breakout": Breakout,
            "catch": Catch,
            "space_invaders": SpaceInvaders,
        }
        actions = tuple(range(self.actions)) if several else MINATAR_ACTIONS[game]
        return kinds[game](copies, seed, actions, self.shape)
