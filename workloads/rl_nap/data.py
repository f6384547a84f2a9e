"""The stream: games played with the learner's own policy, replayed as a supervised problem.

A batch is 64 or so remembered transitions with the target that double Q-learning (van Hasselt,
Guez and Silver 2016) gives each: the training weights choose the next action, the weights kept
some time ago value it.
"""

from __future__ import annotations

import numpy as np

from scoring.ground.words import StateDict
from workloads.contract import Array, Batch, Event, Policy, Stream
from workloads.rl_nap.games import Games
from workloads.rl_nap.replay import Replay
from workloads.rl_nap.settings import DataSettings

_CHOICES, _GAMES = 0, 1  # which of a seed's independent random sequences


class PlayStream(Stream):
    """Draws each batch from memory, and plays a step in every copy of the games now and then.

    Where games are played in turn, the buffer and the share of random actions begin anew with
    each.
    """

    def __init__(self, data: DataSettings, batch_size: int, seed: int) -> None:
        self._data, self._console = data, data.console
        self._batch_size = batch_size
        self._seed = seed
        self._step = self._turn = 0
        self._random = np.random.default_rng((seed, _CHOICES))
        self._replay = Replay(
            data.environments, self._console.shape, data.rows, binary=self._console.binary
        )
        self._pending: list[str] = []
        self._ready: list[Batch] = []
        self._games = self._start()

    @property
    def playing(self) -> list[int]:
        """Which of the configured games are being played."""
        turns = self._data.turns
        return turns[self._turn % len(turns)]

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
        if not self._ready:
            self._ready = self._round(policy)
        self._step += 1
        return self._ready.pop(0)

    def _round(self, policy: Policy) -> list[Batch]:
        """A step of play in every copy, and the batches until the next one."""
        data, size = self._data, self._batch_size
        count = size * data.play_period
        sample = self._replay.draw(self._random, count, data.n_step, data.discount)
        # One call for both: what to do now, and what would be done in what is remembered.
        values = policy(np.concatenate([self._games.observations, sample.following]))
        now, later = np.split(values.argmax(1), [data.environments])
        worth = policy.kept(sample.following)[np.arange(count), later]
        self._play(self._explore(now))
        batch = {
            "observation": sample.observations,
            "action": sample.actions,
            "target": (sample.returns + sample.discounts * worth).astype(np.float32),
        }
        return [
            {name: rows[first : first + size] for name, rows in batch.items()}
            for first in range(0, count, size)
        ]

    def state(self) -> StateDict:
        """Position, games, memory and random numbers.

        Of games whose state cannot be had only the position: they begin anew, with new memory.
        """
        state: StateDict = {
            "seed": self._seed,
            "step": self._step,
            "turn": self._turn,
            "pending": list(self._pending),
            "random": self._random.bit_generator.state,
        }
        if self._games.can_continue:
            state |= {
                "games": self._games.state(),
                "replay": self._replay.state(),
                "ready": [dict(batch) for batch in self._ready],
            }
        return state

    def load_state(self, state: StateDict) -> None:
        """Continue where `state` was taken, or as near as the games allow."""
        self._seed, self._step = int(state["seed"]), int(state["step"])
        self._turn, self._pending = int(state["turn"]), list(state["pending"])
        self._random.bit_generator.state = state["random"]
        self.close()
        self._games = self._start()
        if self._games.can_continue:
            self._games.load_state(state["games"])
            self._replay.load_state(state["replay"])
            self._ready = [dict(batch) for batch in state["ready"]]

    def events(self) -> list[Event]:
        """Which games began since the last call, other than the first."""
        events = [Event("switch", {"game": game}) for game in self._pending]
        self._pending = []
        return events

    def close(self) -> None:
        """End the games' threads."""
        self._games.close()

    def _switch(self) -> None:
        self._turn = self._step // self._data.switch_period
        self.close()
        self._games = self._start()
        self._pending.extend(self._names())

    def _names(self) -> list[str]:
        return [self._console.games[index] for index in self.playing]

    def _start(self) -> Games:
        source = np.random.SeedSequence((self._seed, _GAMES, self._turn, self._step))
        names, (seed,) = self._names(), source.generate_state(1).tolist()
        games = self._console.start(names, self._data.environments // len(names), seed)
        self._replay.clear()
        self._ready = []
        self._replay.see(games.observations)
        return games

    def _explore(self, actions: Array) -> Array:
        count = self._data.environments
        dice = self._random.random(count) < self.exploration
        return np.where(dice, self._random.integers(0, self._console.actions, count), actions)

    def _play(self, actions: Array) -> None:
        self._replay.act(actions, *self._games.step(actions))
        self._replay.see(self._games.observations)
