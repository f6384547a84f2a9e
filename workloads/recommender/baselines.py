"""What methods that need no training reach: popularity, item neighbours, and EASE.

`python -m workloads.recommender.baselines` prints the table of the family's page. Each is given
what the model is given of a cold user, the profile, and the films of the warm users.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workloads.contract import Array, Batch
from workloads.recommender import data, movielens
from workloads.recommender.settings import CUT, SHORT

Baseline = Callable[[Array], Array]
"""Who of the warm users rated what, float64 (users, items), to weights (items, items): a film's
score is the sum of its weights over the profile."""

NEIGHBOURS = 100
LAMBDA = 1500.0
"""The best on the validation users of 100, 200, 400, 700, 1,000, 1,500 and 2,500."""


def popularity(rated: Array) -> Array:
    """How many rated the film, whatever the profile."""
    return np.broadcast_to(rated.sum(0), (rated.shape[1],) * 2)


def item_knn(rated: Array, neighbours: int = NEIGHBOURS) -> Array:
    """Cosines between films over users; each film keeps its nearest."""
    norms = np.sqrt(np.maximum((rated**2).sum(0), 1))
    cosines = (rated / norms).T @ (rated / norms)
    np.fill_diagonal(cosines, 0)
    far = np.argsort(-cosines, axis=0, kind="stable")[neighbours:]
    np.put_along_axis(cosines, far, 0, axis=0)
    return cosines


def ease(rated: Array, regularised: float = LAMBDA) -> Array:
    """The linear model of least squared error that may not use a film for itself (Steck 2019)."""
    inverse = np.linalg.inv(rated.T @ rated + regularised * np.eye(rated.shape[1]))
    weights: Array = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


BASELINES: dict[str, Baseline] = {"popularity": popularity, "ItemKNN": item_knn, "EASE": ease}


def ndcg(scores: Array, status: Array, cut: int = CUT) -> Array:
    """NDCG of each row; a film tied with others counts by the share of the relevant among them.

    As the models' `ranking`, in numpy.
    """
    discount = 1 / np.log2(np.arange(2, cut + 2))
    gains = []
    for row, states in zip(scores, status, strict=True):
        open_ = states != data.SEEN
        relevant = (states == data.RELEVANT)[open_].astype(np.float64)
        _, group = np.unique(-row[open_], return_inverse=True)
        share = np.bincount(group, relevant) / np.bincount(group)
        best = share[np.sort(group)[:cut]]
        ideal = discount[: int(min(cut, max(1, relevant.sum())))].sum()
        gains.append((best * discount[: len(best)]).sum() / ideal)
    return np.array(gains)


def judge(weights: Array, batches: list[Batch], cut: int = CUT) -> float:
    """Mean NDCG over the users and draws of a group's batches."""
    rows = [ndcg(weights[batch["profile"]].sum(1), batch["status"], cut) for batch in batches]
    return float(np.concatenate(rows).mean())


def table(
    source: movielens.Source, profile: int, draws: int, cut: int = CUT
) -> dict[str, dict[str, float]]:
    """NDCG of each baseline on the validation and the test users."""
    split = data.load(source, profile)
    rated = split.rated.astype(np.float64)
    groups: tuple[data.Group, ...] = ("validation", "test")
    batches = {g: data.ranking_batches(split, g, profile, draws, 1024) for g in groups}
    return {
        name: {group: judge(weights(rated), batches[group], cut) for group in groups}
        for name, weights in BASELINES.items()
    }


if __name__ == "__main__":
    for profile in (10, 3):
        for cut in (CUT, SHORT):
            for name, values in table("ml-100k", profile, 8, cut).items():
                print(profile, f"NDCG@{cut}", name, *(f"{v:.3f}" for v in values.values()))
