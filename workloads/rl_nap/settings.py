"""The numbers of one scale, checked."""

from __future__ import annotations

import pydantic

from scoring.ground.documents import Model
from scoring.ground.errors import nearest
from workloads.config import Holding, Scale
from workloads.rl_nap.console import KNOWN, Console, Source
from workloads.rl_nap.network import Convolution, Network


class Game(Model):
    """A game, and the returns that the metric counts as 0 and as 1."""

    name: str
    random: float
    """Of random play."""
    good: float
    """Of good play: the family's page says whose."""

    @pydantic.model_validator(mode="after")
    def _good_is_more(self) -> Game:
        if self.good <= self.random:
            raise ValueError(
                f"{self.name}: good play returns {self.good:g}, no more than random play's "
                f"{self.random:g}; set it to a good player's return"
            )
        return self


class DataSettings(Model):
    """Which games are played, and how they are remembered."""

    source: Source
    games: list[Game] = pydantic.Field(min_length=1)
    """All played by one network."""
    sequence: bool = False
    """Whether the games are played in turn, and not side by side."""
    switch_period: pydantic.PositiveInt
    """Steps of a game, in a sequence."""
    environments: pydantic.PositiveInt
    """Copies of games that are played at the same time, of all games together."""
    play_period: pydantic.PositiveInt = 1
    """Steps of training for each step of play, which all copies make at once."""
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
    """How many of each game are played at an evaluation, from fixed seeds."""
    episode_steps: pydantic.PositiveInt
    """After how many steps an evaluation cuts an episode off."""

    @property
    def console(self) -> Console:
        """The games that the network plays."""
        return Console(self.source, tuple(game.name for game in self.games))

    @property
    def turns(self) -> list[list[int]]:
        """Which games are played at the same time, turn by turn; then again from the first."""
        every = list(range(len(self.games)))
        return [[index] for index in every] if self.sequence else [every]

    @property
    def cycle(self) -> int:
        """Steps after which the games come round again; 1 where all are played at once."""
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
    def _games_are_known(self) -> DataSettings:
        known = KNOWN[self.source]
        for game in self.games:
            if game.name not in known:
                raise ValueError(
                    f"{self.source} has no game {game.name!r}{nearest(game.name, known)}"
                )
        if self.environments % len(self.turns[0]):
            raise ValueError(
                f"{self.environments} environments cannot be split evenly among {len(self.games)} "
                "games; make it a multiple"
            )
        if self.sequence and len(self.games) < 2:
            raise ValueError("a sequence needs two games or more")
        return self

    @pydantic.model_validator(mode="after")
    def _memory_is_enough(self) -> DataSettings:
        least = self.n_step + 4
        if not least < self.first_rows <= self.rows:
            raise ValueError(
                f"learning_starts {self.learning_starts} must be more than {least} steps of "
                f"{self.environments} environments and at most replay {self.replay}"
            )
        return self


class ModelSettings(Model):
    """The network between an observation and the values of the actions."""

    convolutions: list[Convolution]
    hidden: list[pydantic.PositiveInt] = pydantic.Field(min_length=1)
    """Widths of the hidden layers after them."""
    project: bool = True
    """Whether hidden matrices are brought back to their initial norm after every update."""


class SequenceSettings(Model):
    """What takes the place of the scale's own where games are played in turn."""

    held: Holding
    step_hint: pydantic.PositiveInt | None = None
    """None is the scale's own."""


class PlayScale(Scale):
    """The numbers of one scale of the family."""

    data: DataSettings
    model: ModelSettings
    sequence: SequenceSettings

    @property
    def network(self) -> Network:
        """The shapes of the network, for what it plays."""
        console = self.data.console
        return Network(
            shape=console.shape,
            binary=console.binary,
            convolutions=tuple(self.model.convolutions),
            hidden=tuple(self.model.hidden),
            actions=console.actions,
            project=self.model.project,
            dtype=self.compute.dtype,
        )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _settings_of_a_sequence(cls, given: object) -> object:
        if not isinstance(given, dict) or not isinstance(given.get("data"), dict):
            return given
        own = given.get("sequence") if given["data"].get("sequence") else None
        if not isinstance(own, dict):
            return given
        return given | {key: value for key, value in own.items() if value is not None}

    @pydantic.model_validator(mode="after")
    def _whole_cycles(self) -> PlayScale:
        # Games differ in what they pay, and a game is worth little at its beginning: an average
        # over a piece of a cycle would depend on where it was cut.
        judged = self.evaluation_period * self.metric_window
        if judged % self.data.cycle:
            raise ValueError(
                f"evaluation_period {self.evaluation_period} times metric_window "
                f"{self.metric_window} is not a whole number of cycles; "
                f"make the product a multiple of {self.data.cycle}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _convolutions_fit(self) -> PlayScale:
        self.network.check()
        return self
