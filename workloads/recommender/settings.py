"""The numbers of one scale, checked."""

from __future__ import annotations

import pydantic

from scoring.ground.documents import Model
from workloads.config import Scale
from workloads.recommender import data, movielens

CUT = 100
"""Films of a ranking that the judged NDCG looks at, as Liang et al. 2018 and EASE have it."""
SHORT = 10
"""Films that the ranking's other metrics look at."""
NDCG = f"ndcg_at_{CUT}"
SHORT_NDCG = f"ndcg_at_{SHORT}"
HIT_RATE = f"hit_rate_at_{SHORT}"
RECALL = f"recall_at_{SHORT}"
MRR = f"mrr_at_{SHORT}"
RANKING = (NDCG, SHORT_NDCG, HIT_RATE, RECALL, MRR)
"""What the models' `ranking` tells."""


class DataSettings(Model):
    """Which ratings, and how users are shown."""

    source: movielens.Source
    users: pydantic.PositiveInt
    """All of the source's, warm and cold."""
    items: pydantic.PositiveInt
    profile: pydantic.PositiveInt
    """How many rated films a user is known by."""
    id_drop: float = pydantic.Field(ge=0, lt=1)
    """The share of training examples whose user is known by attributes and profile alone."""
    draws: pydantic.PositiveInt
    """Fixed profiles of each cold user, over which the metric is averaged."""
    rows: pydantic.PositiveInt
    """Users ranked at a time."""
    prefetch: pydantic.NonNegativeInt = 0
    """Batches made ahead by a thread."""


class ModelSettings(Model):
    """The two towers and their loss."""

    width: pydantic.PositiveInt
    """Of embeddings and of both towers' outputs; hidden layers have twice that."""
    temperature: pydantic.PositiveFloat
    """Cosines are divided by it."""
    contrast: pydantic.NonNegativeFloat
    """Weight of the contrastive term."""


class RecommenderScale(Scale):
    """The numbers of one scale of the family."""

    data: DataSettings
    model: ModelSettings

    @property
    def warm_users(self) -> int:
        """How many users have an id's embedding."""
        return data.warm_count(self.data.users)
