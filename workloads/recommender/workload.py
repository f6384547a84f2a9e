"""Recommendation to cold users: films by two towers, judged by NDCG@100 of users never trained on.

Each side has two views, an id's embedding and one made of attributes, fused by a gate; a
contrastive term draws a user's views together, so that a user without history can be served by
attributes and a small profile. After the idea of "cold start by contrast and adaptive fusion"
(arXiv 2502.03664), rebuilt from its relatives CLCRec and DropoutNet. The variant `+ctr` is another
task, in the folder `ctr`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from scoring.ground.words import Role
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
from workloads.digest import data_digest
from workloads.errors import WorkloadError
from workloads.kinds import Family
from workloads.recommender import data, movielens
from workloads.recommender.ctr import workload as ctr
from workloads.recommender.settings import NDCG, RANKING, RecommenderScale
from workloads.recommender.stream import epochs

if TYPE_CHECKING:
    from workloads.model_jax import JaxModel
    from workloads.model_torch import TorchModel

EMBEDDING_STD = 0.1


class Recommender(Workload[RecommenderScale]):
    """Ranking of all films for cold users, judged by NDCG@100."""

    sums = ("loss", "count")
    shared = ("genres", "period")
    divisible = False  # a user's views are contrasted with the other users' of the batch

    def parameters(self) -> dict[str, ParameterSpec]:
        """Embeddings and the small networks of either side; matrices are (out, in)."""
        settings = self.settings
        width, items = settings.model.width, settings.data.items
        shapes: dict[str, tuple[tuple[int, ...], Role]] = {
            "user_id.weight": ((settings.warm_users, width), "embedding"),
            "field.weight": ((sum(movielens.FIELDS.values()), width), "embedding"),
            "profile.weight": ((items, width), "embedding"),
            "item_id.weight": ((items, width), "embedding"),
            "genre.weight": ((len(movielens.GENRES), width), "embedding"),
            "period.weight": ((movielens.PERIODS, width), "embedding"),
            "field_hidden.weight": ((width, width), "weight"),
            "field_score.weight": ((1, width), "weight"),
        }
        for side in ("user", "item"):
            for layer, inputs, outputs in (
                ("up", width, 2 * width),
                ("down", 2 * width, width),
                ("gate", 2 * width, width),
            ):
                shapes[f"{side}_{layer}.weight"] = ((outputs, inputs), "weight")
                shapes[f"{side}_{layer}.bias"] = ((outputs,), "bias")
        shapes["item_bias.weight"] = ((items, 1), "bias")
        return {name: ParameterSpec(shape, role) for name, (shape, role) in shapes.items()}

    def initial_weights(self, seed: int) -> Weights:
        """Matrices of variance 1 / inputs, embeddings of EMBEDDING_STD, biases zero.

        A film begins in profiles as the film that is to be found.
        """
        random = np.random.default_rng(seed)
        weights: Weights = {}
        for name, spec in self.parameters().items():
            if spec.role == "bias":
                weights[name] = np.zeros(spec.shape, np.float32)
                continue
            std = EMBEDDING_STD if spec.role == "embedding" else spec.shape[1] ** -0.5
            drawn = random.standard_normal(spec.shape, np.float32)
            weights[name] = drawn * np.float32(std)
        weights["profile.weight"] = weights["item_id.weight"].copy()
        return weights

    def fetch(self) -> None:
        """Fetch MovieLens-100k (toy, laptop), or look for MovieLens-1M's files (standard)."""
        movielens.fetch(self.settings.data.source)

    def data_sha256(self) -> str:
        """Of every user's films, and of what is told of users and films."""
        split = self._split()
        histories = (split.train, split.held_out, split.cold)
        arrays = (split.fields, *split.catalogue.values())
        return data_digest([*(a for h in histories for a in (h.items, h.starts)), *arrays])

    def stream(self, seed: int) -> Stream:
        """Ratings of warm users in shuffled epochs, each with a profile drawn anew."""
        split, settings = self._split(), self.settings.data
        make = data.TrainingBatches(split, settings.profile, settings.id_drop)
        size = self.settings.batch_size
        return epochs(len(split.owner), size, make, seed, settings.prefetch)

    def evaluate(
        self, judged: Judged, split: Split, stream: Stream, window: Window
    ) -> dict[str, float]:
        """Ranking of every film for the split's cold users; at validation for warm users, too.

        The record also holds the mean weight of each attribute in the fusion and the share of the
        id in a film's vector.
        """
        means = self._mean(judged, split)
        metrics = {f"{split}/{name}": float(means[name]) for name in RANKING}
        if split == "test":
            return metrics
        metrics[f"warm/{NDCG}"] = float(self._mean(judged, "warm")[NDCG])
        for name, weight in zip(movielens.FIELDS, means["field_gate"], strict=True):
            metrics[f"gate/{name}"] = float(weight)
        metrics["gate/item_id"] = float(means["item_gate"])
        if window.steps:
            metrics["train/contrast"] = window.sums["contrast"] / window.steps
        return metrics

    def probe(self, stream: Stream) -> Batch:
        """Ratings of warm users, evenly spread: a cold user has no id to be trained."""
        split, settings = self._split(), self.settings.data
        make = data.TrainingBatches(split, settings.profile, settings.id_drop)
        rows = np.linspace(0, len(split.owner), self.settings.batch_size, endpoint=False)
        return make(rows.astype(int), np.random.default_rng(0))

    def batch_like(self, seed: int = 0) -> Batch:
        """Users, films, profiles and a catalogue drawn uniformly.

        `user` int32 (B,), `user_kept` float32 (B,), `fields` int32 (B, 4), `profile` int32
        (B, profile), `item` int32 (B,) the film to be found, `known` uint8 (B, items) the user's
        other films, `genres` uint8 (1, items, 19) and `period` int32 (1, items).
        """
        random, settings = np.random.default_rng(seed), self.settings.data
        size, items = self.settings.batch_size, settings.items
        fields = [random.integers(0, values, size) for values in movielens.FIELDS.values()]
        genres = random.random((1, items, len(movielens.GENRES))) < 0.1
        item = random.integers(0, items, size, np.int32)
        ratings = (random.random((size, items)) < 0.05).astype(np.uint8)
        ratings[np.arange(size), item] = 0
        return {
            "genres": genres.astype(np.uint8),
            "user": random.integers(0, self.settings.warm_users, size, np.int32),
            "user_kept": (random.random(size) >= settings.id_drop).astype(np.float32),
            "fields": np.stack(fields, axis=1).astype(np.int32) + movielens.OFFSETS,
            "profile": random.integers(0, items, (size, settings.profile), np.int32),
            "known": ratings,
            "period": random.integers(0, movielens.PERIODS, (1, items), np.int32),
            "item": item,
        }

    def torch_model(self) -> TorchModel:
        """The towers in PyTorch."""
        from workloads.recommender.model_torch import TwoTowersTorch

        return TwoTowersTorch(self.settings)

    def jax_model(self) -> JaxModel:
        """The towers in JAX."""
        from workloads.recommender.model_jax import TwoTowersJax

        return TwoTowersJax(self.settings)

    def _split(self) -> data.Split:
        settings = self.settings.data
        split = data.load(settings.source, settings.profile)
        if (len(split.fields), split.items) != (settings.users, settings.items):
            raise WorkloadError(
                f"{settings.source}: {len(split.fields)} users and {split.items} rated films, "
                f"expected {settings.users} and {settings.items}; fetch the files again"
            )
        return split

    @functools.cached_property
    def _batches(self) -> dict[data.Group, list[Batch]]:
        split, settings = self._split(), self.settings.data
        draws: dict[data.Group, int] = {
            "validation": settings.draws,
            "test": settings.draws,
            "warm": 1,
        }
        return {
            group: data.ranking_batches(split, group, settings.profile, count, settings.rows)
            for group, count in draws.items()
        }

    def _mean(self, judged: Judged, group: data.Group) -> dict[str, Array]:
        """The rows' means over all users of a group."""
        rows = [judged.predict(batch) for batch in self._batches[group]]
        return {
            name: np.concatenate([some[name] for some in rows]).mean(0, dtype=np.float64)
            for name in rows[0]
        }


FAMILY = Family(
    Recommender, RecommenderScale, artefacts=(movielens.ML_100K["inter"],), tasks={"ctr": ctr.KIND}
)
