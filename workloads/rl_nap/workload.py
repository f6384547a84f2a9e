"""Q-learning on games, with a network whose weight matrices keep their initial norms.

After Lyle, Zheng, Khetarpal, van Hasselt, Pascanu, Martens and Dabney, "Normalization and
effective learning rates in reinforcement learning" (arXiv 2407.01800): normalised before every
nonlinearity, the network depends on the directions of its weights alone, and projecting them back
(NaP) makes the submission's learning rate the effective one. What counts is how well the greedy
policy plays.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from workloads.contract import (
    Array,
    Batch,
    Judged,
    ParameterSpec,
    Split,
    Stream,
    Weights,
    Window,
    Workload,
)
from workloads.kinds import Family
from workloads.rl_nap import data
from workloads.rl_nap.games import play
from workloads.rl_nap.settings import PlayScale

if TYPE_CHECKING:
    from workloads.model_jax import JaxModel
    from workloads.model_torch import TorchModel

_SPLITS: dict[Split, int] = {"validation": 1, "test": 2}  # which fixed seeds episodes start from
_PROBE = 3
_JUDGED = 20240701  # no seed of training: their sequences have four numbers
PROBED, PROBED_AFTER = 96, 20
"""Copies of games that diagnostics look at, after so many steps of random play."""


class Play(Workload[PlayScale]):
    """Double Q-learning on MinAtar or ALE, judged by the greedy policy's return."""

    sums = ("loss", "count")
    supervised = False

    def parameters(self) -> dict[str, ParameterSpec]:
        """Weights without biases of the hidden layers, then weight and bias of the head."""
        return self.settings.network.parameters()

    def initial_weights(self, seed: int) -> Weights:
        """Hidden weights from N(0, 2 / fan_in), scaled to a norm of exactly sqrt(2 x outputs).

        The head is from N(0, 1 / fan_in), its bias zero.
        """
        random = np.random.default_rng(seed)
        network = self.settings.network
        weights: Weights = {}
        for name, spec in network.parameters().items():
            if spec.role == "bias":
                weights[name] = np.zeros(spec.shape, np.float32)
                continue
            drawn = random.normal(0.0, 1.0, spec.shape)
            if name in network.norms:
                drawn *= network.norms[name] / np.linalg.norm(drawn)
            else:
                drawn /= math.sqrt(spec.shape[1])
            weights[name] = drawn.astype(np.float32)
        return weights

    def fetch(self) -> None:
        """See that the games are installed."""
        self.settings.data.console.fetch()

    def stream(self, seed: int) -> data.PlayStream:
        """Transitions of play under the learner's own policy; see `data.PlayStream`."""
        return data.PlayStream(self.settings.data, self.settings.batch_size, seed)

    def evaluate(
        self, judged: Judged, split: Split, stream: Stream, window: Window
    ) -> dict[str, float]:
        """How well the greedy policy plays fixed episodes of the present games.

        A game's mean undiscounted return counts 0 where it is that of random play and 1 where it
        is that of good play; the metric is the mean over the games. `weights/norm_ratio` is the
        mean over the hidden matrices of their norm over the initial one: 1 with projection.
        """
        assert isinstance(stream, data.PlayStream)
        settings, playing = self.settings.data, stream.playing
        played = [settings.games[index] for index in playing]
        names = [game.name for game in played]
        source = np.random.SeedSequence((_JUDGED, _SPLITS[split], *playing))
        (seed,) = source.generate_state(1).tolist()
        games = settings.console.start(names, settings.episodes, seed, judged=True)

        def greedy(observations: Array) -> Array:
            return judged.predict({"observation": observations})["action"]

        try:
            returns = play(games, greedy, settings.episode_steps)
        finally:
            games.close()
        means = returns.reshape(len(playing), settings.episodes).mean(1)
        shares = [
            (mean - game.random) / (game.good - game.random)
            for game, mean in zip(played, means, strict=True)
        ]
        metrics = {f"{split}/return": float(np.mean(shares))}
        metrics |= {f"{split}/{name}": float(mean) for name, mean in zip(names, means, strict=True)}
        if split == "validation":
            metrics["weights/norm_ratio"] = self._norm_ratio(judged.weights())
            if window.steps:
                metrics["train/value"] = window.sums["value"] / window.steps
        return metrics

    def _norm_ratio(self, weights: Weights) -> float:
        norms = self.settings.network.norms
        ratios = [np.linalg.norm(weights[name]) / norm for name, norm in norms.items()]
        return float(np.mean(ratios))

    def probe(self, stream: Stream) -> Batch:
        """What random play of the present games has come to, always the same."""
        assert isinstance(stream, data.PlayStream)
        playing = tuple(stream.playing)
        if playing not in self._probes:
            self._probes[playing] = self._random_play(playing)
        return {"observation": self._probes[playing]}

    @functools.cached_property
    def _probes(self) -> dict[tuple[int, ...], Array]:
        return {}

    def _random_play(self, playing: tuple[int, ...]) -> Array:
        console = self.settings.data.console
        names = [self.settings.data.games[index].name for index in playing]
        random = np.random.default_rng((_JUDGED, _PROBE, *playing))
        games = console.start(names, PROBED // len(names), int(random.integers(2**32)))
        try:
            for _ in range(PROBED_AFTER):
                games.step(random.integers(0, console.actions, len(games.observations)))
            return games.observations.copy()
        finally:
            games.close()

    def batch_like(self, seed: int = 0) -> Batch:
        """Uniform noise for observations, uniform actions, targets from N(0, 1)."""
        random = np.random.default_rng(seed)
        console, size = self.settings.data.console, self.settings.batch_size
        top = 2 if console.binary else 256
        return {
            "observation": random.integers(0, top, (size, *console.shape), dtype=np.uint8),
            "action": random.integers(0, console.actions, size, dtype=np.int32),
            "target": random.standard_normal(size, dtype=np.float32),
        }

    def observations_like(self) -> list[Array]:
        """What is remembered, with and without what is seen now."""
        settings = self.settings.data
        remembered = np.concatenate([self.batch_like()["observation"]] * settings.play_period)
        seen = remembered[np.arange(settings.environments) % len(remembered)]
        return [np.concatenate([seen, remembered]), remembered]

    def torch_model(self) -> TorchModel:
        """The network in PyTorch."""
        from workloads.rl_nap.model_torch import PlayTorch

        return PlayTorch(self.settings.network)

    def jax_model(self) -> JaxModel:
        """The network in JAX."""
        from workloads.rl_nap.model_jax import PlayJax

        return PlayJax(self.settings.network)


FAMILY = Family(Play, PlayScale)
