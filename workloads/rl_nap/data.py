"""The stream: games played with the learner's own policy, replayed as a supervised problem.

A batch is 64 or so remembered transitions with the target that double Q-learning (van Hasselt,
Guez and Silver 2016) gives each: the training weights choose the next action, the weights kept
some time ago value it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pydantic

from scoring.ground.documents import Model
from scoring.ground.errors import nearest
from workloads.contract import Array, Batch, Event, Policy, Stream
from workloads.rl_nap.games import KNOWN, Console, Games, Source
from workloads.rl_nap.replay import Replay

_CHOICES, _GAMES = 0, 1  # which of a seed's independent random sequences


class DataConfig(Model):
    """Which games are played, and how they are remembered."""

    source: Source
    games: list[str] = pydantic.Field(min_length=1)
    """Only the first is played, unless in `sequence`."""
    units: list[pydantic.PositiveFloat] = pydantic.Field(min_length=1)
    """What each game's return is divided by in the metric, so that games weigh alike."""
    sequence: bool = False
    """Whether the games are played in turn by one network."""
    switch_period: pydantic.PositiveInt
    """Steps of a game, in a sequence."""
    environments: pydantic.PositiveInt
    """Copies of the game; each makes one step for one step of training."""
    replay: pydantic.PositiveInt
    """Transitions remembered, of all copies together."""
    learning_starts: pydantic.PositiveInt
    """Transitions of random play that a game begins with."""
    exploration_steps: pydantic.PositiveInt
    """Steps in which the share of random actions falls to its end, from a game's beginning."""
    exploration_end: float = pydantic.Field(ge=0, le=1)
    n_step: pydantic.PositiveInt
    discount: float = pydantic.Field(gt=0, le=1)
    copy_period: pydantic.PositiveInt
    """Steps after which the target weights become the present ones."""
    episodes: pydantic.PositiveInt
    """How many are played at an evaluation, from fixed seeds."""
    episode_steps: pydantic.PositiveInt
    """After how many steps an evaluation cuts an episode off."""

    @property
    def console(self) -> Console:
        """The games that the network plays."""
        return Console(self.source, tuple(self.games if self.sequence else self.games[:1]))

    @property
    def cycle(self) -> int:
        """Steps after which the games come round again; 1 where there is one."""
        return self.switch_period * len(self.games) if self.sequence else 1

    @property
    def rows(self) -> int:
        """Steps of all copies that are remembered."""
        return self.replay // self.environments

    @property
    def first_rows(self) -> int:
        """Steps of all copies in random play."""
        return -(-self.learning_starts // self.environments)

    @pydantic.model_validator(mode="after")
    def _games_are_known(self) -> DataConfig:
        known = KNOWN[self.source]
        for game in self.games:
            if game not in known:
                raise ValueError(f"{self.source} has no game {game!r}{nearest(game, known)}")
        if len(self.units) != len(self.games):
            raise ValueError(
                f"{len(self.units)} units for {len(self.games)} games; give each game its own"
            )
        if self.sequence and len(self.games) < 2:
            raise ValueError("a sequence needs two games or more")
        return self

    @pydantic.model_validator(mode="after")
    def _memory_is_enough(self) -> DataConfig:
        least = self.n_step + 4
        if not least < self.first_rows <= self.rows:
            raise ValueError(
                f"learning_starts {self.learning_starts} must be more than {least} steps of "
                f"{self.environments} environments and at most replay {self.replay}"
            )
        return self


class PlayStream(Stream):
    """Plays one step in every copy of the game for every batch, and draws the batch from memory.

    Where games are played in turn, the buffer and the share of random actions begin anew with
    each.
    """

    def __init__(self, data: DataConfig, batch_size: int, seed: int) -> None:
        self._data, self._console = data, data.console
        self._batch_size = batch_size
        self._seed = seed
        self._step = self._turn = 0
        self._random = np.random.default_rng((seed, _CHOICES))
        self._replay = Replay(
            data.environments, self._console.shape, data.rows, binary=self._console.binary
        )
        self._pending: list[str] = []
        self._games = self._start()

    @property
    def turn(self) -> int:
        """Which of the configured games is being played."""
        return self._turn % len(self._console.games)

    @property
    def exploration(self) -> float:
        """The share of actions that are random at this step."""
        since = self._step % self._data.switch_period if self._data.sequence else self._step
        fallen = min(1.0, since / self._data.exploration_steps)
        return 1.0 + fallen * (self._data.exploration_end - 1.0)

    def next(self, policy: Policy) -> Batch:
        """Play on, and learn from memory.

        `observation` uint8 (B, channels, height, width), `action` int32 (B,), and `target`
        float32 (B,): the discounted reward of n steps, and what is to be expected after them.
        """
        data = self._data
        if data.sequence and self._step and self._step % data.switch_period == 0:
            self._switch()
        if self._step % data.copy_period == 0:
            policy.keep()
        while len(self._replay) <= data.first_rows:
            self._play(self._random.integers(0, self._console.actions, data.environments))
        sample = self._replay.draw(self._random, self._batch_size, data.n_step, data.discount)
        # One call for both: what to do now, and what would be done in what is remembered.
        values = policy(np.concatenate([self._games.observations, sample.following]))
        now, later = np.split(values.argmax(1), [data.environments])
        worth = policy.kept(sample.following)[np.arange(self._batch_size), later]
        self._play(self._explore(now))
        self._step += 1
        return {
            "observation": sample.observations,
            "action": sample.actions,
            "target": (sample.returns + sample.discounts * worth).astype(np.float32),
        }

    def state(self) -> dict[str, Any]:
        """Position, games, memory and random numbers.

        Of games whose state cannot be had only the position: they begin anew, with new memory.
        """
        state: dict[str, Any] = {
            "seed": self._seed,
            "step": self._step,
            "turn": self._turn,
            "pending": list(self._pending),
            "random": self._random.bit_generator.state,
        }
        if self._games.can_continue:
            state |= {"games": self._games.state(), "replay": self._replay.state()}
        return state

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken, or as near as the games allow."""
        self._seed, self._step = int(state["seed"]), int(state["step"])
        self._turn, self._pending = int(state["turn"]), list(state["pending"])
        self._random.bit_generator.state = state["random"]
        self.close()
        self._games = self._start()
        if self._games.can_continue:
            self._games.load_state(state["games"])
            self._replay.load_state(state["replay"])

    def events(self) -> list[Event]:
        """Which games began since the last call, other than the first."""
        told = [Event("switch", {"game": game}) for game in self._pending]
        self._pending = []
        return told

    def close(self) -> None:
        """End the games' threads."""
        self._games.close()

    def _switch(self) -> None:
        self._turn = self._step // self._data.switch_period
        self.close()
        self._games = self._start()
        self._pending.append(self._console.games[self.turn])

    def _start(self) -> Games:
        seeds = np.random.SeedSequence((self._seed, _GAMES, self._turn, self._step))
        game = self._console.games[self.turn]
        games = self._console.start(game, seeds.generate_state(self._data.environments).tolist())
        self._replay.clear()
        self._replay.see(games.observations)
        return games

    def _explore(self, actions: Array) -> Array:
        count = self._data.environments
        dice = self._random.random(count) < self.exploration
        return np.where(dice, self._random.integers(0, self._console.actions, count), actions)

    def _play(self, actions: Array) -> None:
        self._replay.act(actions, *self._games.step(actions))
        self._replay.see(self._games.observations)
