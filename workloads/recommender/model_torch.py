"""The two towers in PyTorch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.model_torch import Tensors, TorchModel, smoothed
from workloads.recommender.data import RELEVANT, SEEN
from workloads.recommender.movielens import FIELDS, GENRES, PERIODS
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


class TwoTowersTorch(TorchModel):
    """Users and films as unit vectors, each fused of an id's view and an attribute view.

    The score of a film for a user is their cosine over the temperature plus the film's bias.
    Networks and gates compute in the scale's type; cosines, scores and losses are float32.
    """

    def __init__(self, settings: RecommenderScale) -> None:
        super().__init__()
        model, items = settings.model, settings.data.items
        width = model.width
        self.dtype: torch.dtype = getattr(torch, settings.compute.dtype)
        self.temperature, self.contrast = model.temperature, model.contrast
        self.user_id = nn.Embedding(settings.warm_users, width)
        self.field = nn.Embedding(sum(FIELDS.values()), width)
        self.profile = nn.Embedding(items, width)
        self.item_id = nn.Embedding(items, width)
        self.genre = nn.Embedding(len(GENRES), width)
        self.period = nn.Embedding(PERIODS, width)
        self.field_hidden = nn.Linear(width, width, bias=False)
        self.field_score = nn.Linear(width, 1, bias=False)
        self.user_up, self.user_down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.user_gate = nn.Linear(2 * width, width)
        self.item_up, self.item_down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.item_gate = nn.Linear(2 * width, width)
        self.item_bias = nn.Embedding(items, 1)

    def loss(
        self, batch: Tensors, generator: torch.Generator, smoothing: float = 0.0
    ) -> tuple[Tensor, Tensors]:
        """Mean nats of the film among those not known, plus the contrast of a user's views.

        The by-product `loss` is without the contrast, which is beside it.
        """
        identity, attributes, _ = self._user_views(batch)
        scores = self._scores(self._fuse_user(batch, identity, attributes), batch)[0]
        nats = F.cross_entropy(_unknown(scores, batch), batch["item"].long())
        contrast = self._contrast(identity, attributes, batch["user"])
        return smoothed(nats, scores, smoothing) + self.contrast * contrast, {
            "loss": nats.detach(),
            "contrast": contrast.detach(),
        }

    def measure(self, batch: Tensors) -> Tensors:
        """`loss`, nats summed over the `count` users."""
        identity, attributes, _ = self._user_views(batch)
        scores, _ = self._scores(self._fuse_user(batch, identity, attributes), batch)
        nats = F.cross_entropy(_unknown(scores, batch), batch["item"].long(), reduction="sum")
        return {"loss": nats, "count": torch.full((), len(scores), device=scores.device)}

    def predict(self, batch: Tensors) -> Tensors:
        """`logits` float32 (B, items); of a batch with each item's `status`, its `ranking`.

        With the ranking go the weights of the attributes, `field_gate` (B, 4), and `item_gate`
        (B,), the mean share of the id in a film, which is the same for all.
        """
        identity, attributes, gates = self._user_views(batch)
        scores, shares = self._scores(self._fuse_user(batch, identity, attributes), batch)
        if "status" not in batch:
            return {"logits": scores}
        gate = shares.mean().expand(len(scores))
        return {**ranking(scores, batch["status"]), "field_gate": gates, "item_gate": gate}

    def _user_views(self, batch: Tensors) -> tuple[Tensor, Tensor, Tensor]:
        """View of the id and of the attributes, (B, width), and the attributes' weights (B, 4)."""
        fields = self.field(batch["fields"].long()).to(self.dtype)
        hidden = torch.tanh(_linear(fields, self.field_hidden))
        gates = torch.softmax(_linear(hidden, self.field_score)[..., 0].float(), dim=1)
        gated = (fields * gates.to(self.dtype)[..., None]).sum(1)
        profile = batch["profile"].long()
        liked = self.profile(profile).to(self.dtype).sum(1) / math.sqrt(profile.shape[1])
        attributes = _mlp(gated + liked, self.user_up, self.user_down)
        identity = self.user_id(batch["user"].long()).to(self.dtype)
        return identity, attributes, gates

    def _fuse_user(self, batch: Tensors, identity: Tensor, attributes: Tensor) -> Tensor:
        kept = batch["user_kept"].to(self.dtype)[:, None]
        share = _gate(identity, attributes, self.user_gate) * kept
        return F.normalize(_mixed(share, identity, attributes).float(), dim=1)

    def _scores(self, user: Tensor, batch: Tensors) -> tuple[Tensor, Tensor]:
        """Scores (B, items) of unit vectors (B, width), and the ids' shares (items, width)."""
        genres = batch["genres"][0].to(self.dtype)
        made = genres @ self.genre.weight.to(self.dtype)
        dated = self.period(batch["period"][0].long()).to(self.dtype)
        attributes = _mlp(made + dated, self.item_up, self.item_down)
        identity = self.item_id.weight.to(self.dtype)
        share = _gate(identity, attributes, self.item_gate)
        item = F.normalize(_mixed(share, identity, attributes).float(), dim=1)
        return user @ item.T / self.temperature + self.item_bias.weight[:, 0], share.float()

    def _contrast(self, identity: Tensor, attributes: Tensor, user: Tensor) -> Tensor:
        """InfoNCE: of the batch's users, which id has these attributes? Its twins do not count."""
        one, other = F.normalize(attributes.float(), dim=1), F.normalize(identity.float(), dim=1)
        logits = one @ other.T / self.temperature
        twins = (user[:, None] == user) & ~torch.eye(
            len(user), dtype=torch.bool, device=user.device
        )
        logits = logits.masked_fill(twins, -torch.inf)
        return F.cross_entropy(logits, torch.arange(len(user), device=user.device))


def ranking(scores: Tensor, status: Tensor) -> Tensors:
    """Each row's NDCG at CUT; its NDCG, hit rate, recall and reciprocal rank at SHORT, (rows,).

    Items with status SEEN are left out, those with RELEVANT are to be found. Where scores tie,
    each value is its mean over the orders of the tied.
    """
    relevant = status == RELEVANT
    scores = scores.masked_fill(status == SEEN, -torch.inf)
    top, where = scores.topk(min(CUT, scores.shape[1]))
    begin, end = _ties(top)
    found = F.pad(relevant.gather(1, where).cumsum(1), (1, 0))
    last = top[:, -1:]
    # Items tied with the last may stand outside the cut: those are counted over the whole row.
    edge = scores == last
    tied = torch.where(top == last, edge.sum(1, keepdim=True), end - begin)
    hits = torch.where(
        top == last,
        (edge & relevant).sum(1, keepdim=True),
        found.gather(1, end) - found.gather(1, begin),
    )
    hits = hits.float().masked_fill(top.isnan(), torch.nan)
    gain = hits / tied
    total = relevant.sum(1)
    # Nothing found so far, a rank finds something among those of its tie that are left.
    left = tied + begin - torch.arange(top.shape[1], device=top.device)
    chance = (hits / left).clamp(max=1)[:, :SHORT]
    missed = torch.cumprod(1 - chance, dim=1)
    first = chance * F.pad(missed[:, :-1], (1, 0), value=1.0)
    return {
        NDCG: _ndcg(gain, total),
        SHORT_NDCG: _ndcg(gain[:, :SHORT], total),
        HIT_RATE: 1 - missed[:, -1],
        RECALL: gain[:, :SHORT].sum(1) / total.clamp(min=1),
        MRR: (first / torch.arange(1, first.shape[1] + 1, device=first.device)).sum(1),
    }


def _ties(top: Tensor) -> tuple[Tensor, Tensor]:
    """Of each of the sorted scores (rows, ranks), where its tie begins and where it has ended."""
    ranks = torch.arange(top.shape[1], device=top.device)
    other = top[:, 1:] != top[:, :-1]
    begin = torch.where(F.pad(other, (1, 0), value=True), ranks, 0)
    end = torch.where(F.pad(other, (0, 1), value=True), ranks + 1, len(ranks))
    return begin.cummax(1).values, end.flip(1).cummin(1).values.flip(1)


def _ndcg(gain: Tensor, total: Tensor) -> Tensor:
    """Of gains (rows, ranks), where `total` items are to be found."""
    ranks = torch.arange(1, gain.shape[1] + 1, device=gain.device)
    discount = 1 / torch.log2(ranks + 1.0)
    ideal = discount.cumsum(0)[total.clamp(1, gain.shape[1]) - 1]
    return (gain * discount).sum(1) / ideal


def _unknown(scores: Tensor, batch: Tensors) -> Tensor:
    """The scores without those of films that the user is known to have rated."""
    return scores.masked_fill(batch["known"] == 1, -torch.inf)


def _linear(x: Tensor, layer: nn.Linear) -> Tensor:
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return F.linear(x, layer.weight.to(x.dtype), bias)


def _mlp(x: Tensor, up: nn.Linear, down: nn.Linear) -> Tensor:
    return _linear(F.gelu(_linear(x, up), approximate="tanh"), down)


def _gate(identity: Tensor, attributes: Tensor, layer: nn.Linear) -> Tensor:
    return torch.sigmoid(_linear(torch.cat((identity, attributes), dim=1), layer))


def _mixed(share: Tensor, identity: Tensor, attributes: Tensor) -> Tensor:
    return share * identity + (1 - share) * attributes
