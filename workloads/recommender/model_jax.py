"""The two towers in JAX: the torch module's parameter names and shapes."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from workloads.model_jax import Arrays, JaxModel, smoothed
from workloads.recommender.data import RELEVANT, SEEN
from workloads.recommender.settings import (
    CUT,
    HIT_RATE,
    MRR,
    NDCG,
    RECALL,
    SHORT,
    SHORT_NDCG,
)

if TYPE_CHECKING:
    from workloads.recommender.settings import RecommenderScale


_TINY = 1e-12


@dataclasses.dataclass(frozen=True, eq=False)
class TwoTowersJax(JaxModel):
    """Users and films as unit vectors, each fused of an id's view and an attribute view.

    The score of a film for a user is their cosine over the temperature plus the film's bias.
    Networks and gates compute in the scale's type; cosines, scores and losses are float32.
    """

    settings: RecommenderScale

    def loss(
        self,
        params: Arrays,
        batch: Arrays,
        rng: jax.Array,
        smoothing: float | jax.Array = 0.0,
    ) -> tuple[jax.Array, Arrays]:
        """Mean nats of the film among those not known, plus the contrast of a user's views.

        The by-product `loss` is without the contrast, which is beside it.
        """
        identity, attributes, _ = self._user_views(params, batch)
        user = self._fuse_user(params, batch, identity, attributes)
        scores, _ = self._scores(params, user, batch)
        nats = _cross_entropy(_unknown(scores, batch), batch["item"]).mean()
        contrast = self._contrast(identity, attributes, batch["user"])
        total = smoothed(nats, scores, smoothing) + self.settings.model.contrast * contrast
        return total, {"loss": nats, "contrast": contrast}

    def measure(self, params: Arrays, batch: Arrays) -> Arrays:
        """`loss`, nats summed over the `count` users."""
        identity, attributes, _ = self._user_views(params, batch)
        user = self._fuse_user(params, batch, identity, attributes)
        scores, _ = self._scores(params, user, batch)
        count = jnp.int32(len(scores))
        nats = _cross_entropy(_unknown(scores, batch), batch["item"])
        return {"loss": nats.sum(), "count": count}

    def predict(self, params: Arrays, batch: Arrays) -> Arrays:
        """`logits` float32 (B, items); of a batch with each item's `status`, its `ranking`.

        With the ranking go the weights of the attributes, `field_gate` (B, 4), and `item_gate`
        (B,), the mean share of the id in a film, which is the same for all.
        """
        identity, attributes, gates = self._user_views(params, batch)
        user = self._fuse_user(params, batch, identity, attributes)
        scores, shares = self._scores(params, user, batch)
        if "status" not in batch:
            return {"logits": scores}
        gate = jnp.broadcast_to(shares.mean(), len(scores))
        return {**ranking(scores, batch["status"]), "field_gate": gates, "item_gate": gate}

    @property
    def _dtype(self) -> str:
        return self.settings.compute.dtype

    def _user_views(self, params: Arrays, batch: Arrays) -> tuple[jax.Array, jax.Array, jax.Array]:
        """View of the id and of the attributes, (B, width), and the attributes' weights (B, 4)."""
        fields = params["field.weight"][batch["fields"]].astype(self._dtype)
        hidden = jnp.tanh(fields @ params["field_hidden.weight"].astype(self._dtype).T)
        scores = (hidden @ params["field_score.weight"].astype(self._dtype).T)[..., 0]
        gates = jax.nn.softmax(scores.astype(jnp.float32), axis=1)
        gated = (fields * gates.astype(self._dtype)[..., None]).sum(1)
        profile = batch["profile"]
        liked = params["profile.weight"][profile].astype(self._dtype).sum(1)
        attributes = _mlp(params, "user", gated + liked / math.sqrt(profile.shape[1]))
        identity = params["user_id.weight"][batch["user"]].astype(self._dtype)
        return identity, attributes, gates

    def _fuse_user(
        self, params: Arrays, batch: Arrays, identity: jax.Array, attributes: jax.Array
    ) -> jax.Array:
        kept = batch["user_kept"].astype(self._dtype)[:, None]
        share = _gate(params, "user_gate", identity, attributes) * kept
        return _unit(_mixed(share, identity, attributes))

    def _scores(
        self, params: Arrays, user: jax.Array, batch: Arrays
    ) -> tuple[jax.Array, jax.Array]:
        """Scores (B, items) of unit vectors (B, width), and the ids' shares (items, width)."""
        made = batch["genres"][0].astype(self._dtype) @ params["genre.weight"].astype(self._dtype)
        dated = params["period.weight"][batch["period"][0]].astype(self._dtype)
        attributes = _mlp(params, "item", made + dated)
        identity = params["item_id.weight"].astype(self._dtype)
        share = _gate(params, "item_gate", identity, attributes)
        item = _unit(_mixed(share, identity, attributes))
        scores = user @ item.T / self.settings.model.temperature
        scores = scores + params["item_bias.weight"][:, 0]
        return scores, share.astype(jnp.float32)

    def _contrast(self, identity: jax.Array, attributes: jax.Array, user: jax.Array) -> jax.Array:
        """InfoNCE: of the batch's users, which id has these attributes? Its twins do not count."""
        logits = _unit(attributes) @ _unit(identity).T / self.settings.model.temperature
        place = jnp.arange(len(user))
        twins = (user[:, None] == user) & (place[:, None] != place)
        return _cross_entropy(jnp.where(twins, -jnp.inf, logits), place).mean()


def ranking(scores: jax.Array, status: jax.Array) -> Arrays:
    """Each row's NDCG at CUT; its NDCG, hit rate, recall and reciprocal rank at SHORT, (rows,).

    Items with status SEEN are left out, those with RELEVANT are to be found. Where scores tie,
    each value is its mean over the orders of the tied.
    """
    relevant = status == RELEVANT
    scores = jnp.where(status == SEEN, -jnp.inf, scores)
    # The barrier: where XLA sees a slice of what it found, it sorts the whole row on a CPU.
    top, where = jax.lax.optimization_barrier(jax.lax.top_k(scores, min(CUT, scores.shape[1])))
    begin, end = _ties(top)
    found = jnp.pad(jnp.take_along_axis(relevant, where, axis=1).cumsum(1), ((0, 0), (1, 0)))
    last = top[:, -1:]
    # Items tied with the last may stand outside the cut: those are counted over the whole row.
    edge = scores == last
    tied = jnp.where(top == last, edge.sum(1, keepdims=True), end - begin)
    hits = jnp.where(
        top == last,
        (edge & relevant).sum(1, keepdims=True),
        jnp.take_along_axis(found, end, axis=1) - jnp.take_along_axis(found, begin, axis=1),
    )
    hits = jnp.where(jnp.isnan(top), jnp.nan, hits)
    gain = hits / tied
    total = relevant.sum(1)
    # Nothing found so far, a rank finds something among those of its tie that are left.
    chance = jnp.minimum(hits / (tied + begin - jnp.arange(top.shape[1])), 1)[:, :SHORT]
    missed = jnp.cumprod(1 - chance, axis=1)
    first = chance * jnp.pad(missed[:, :-1], ((0, 0), (1, 0)), constant_values=1.0)
    return {
        NDCG: _ndcg(gain, total),
        SHORT_NDCG: _ndcg(gain[:, :SHORT], total),
        HIT_RATE: 1 - missed[:, -1],
        RECALL: gain[:, :SHORT].sum(1) / jnp.maximum(total, 1),
        MRR: (first / jnp.arange(1, first.shape[1] + 1)).sum(1),
    }


def _ties(top: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Of each of the sorted scores (rows, ranks), where its tie begins and where it has ended."""
    ranks, other = jnp.arange(top.shape[1]), top[:, 1:] != top[:, :-1]
    begin = jnp.where(jnp.pad(other, ((0, 0), (1, 0)), constant_values=True), ranks, 0)
    end = jnp.where(jnp.pad(other, ((0, 0), (0, 1)), constant_values=True), ranks + 1, top.shape[1])
    return jax.lax.cummax(begin, axis=1), jax.lax.cummin(end, axis=1, reverse=True)


def _ndcg(gain: jax.Array, total: jax.Array) -> jax.Array:
    """Of gains (rows, ranks), where `total` items are to be found."""
    discount = 1 / jnp.log2(jnp.arange(2.0, gain.shape[1] + 2))
    ideal = jnp.cumsum(discount)[jnp.clip(total, 1, gain.shape[1]) - 1]
    return (gain * discount).sum(1) / ideal


def _unknown(scores: jax.Array, batch: Arrays) -> jax.Array:
    """The scores without those of films that the user is known to have rated."""
    return jnp.where(batch["known"] == 1, -jnp.inf, scores)


def _cross_entropy(logits: jax.Array, target: jax.Array) -> jax.Array:
    chosen = jnp.take_along_axis(logits, target[:, None], axis=1)[:, 0]
    return jax.nn.logsumexp(logits, axis=1) - chosen


def _unit(x: jax.Array) -> jax.Array:
    x = x.astype(jnp.float32)
    return x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), _TINY)


def _linear(params: Arrays, name: str, x: jax.Array) -> jax.Array:
    return x @ params[f"{name}.weight"].astype(x.dtype).T + params[f"{name}.bias"].astype(x.dtype)


def _mlp(params: Arrays, side: str, x: jax.Array) -> jax.Array:
    return _linear(params, f"{side}_down", jax.nn.gelu(_linear(params, f"{side}_up", x)))


def _gate(params: Arrays, name: str, identity: jax.Array, attributes: jax.Array) -> jax.Array:
    return jax.nn.sigmoid(_linear(params, name, jnp.concatenate((identity, attributes), axis=1)))


def _mixed(share: jax.Array, identity: jax.Array, attributes: jax.Array) -> jax.Array:
    return share * identity + (1 - share) * attributes
