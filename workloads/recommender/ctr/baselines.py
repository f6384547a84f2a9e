"""What one number a film, or a user and a film, tells of a click on MovieLens.

`python -m workloads.recommender.ctr.baselines` prints the sanity lines of the family's page.
"""

from __future__ import annotations

import numpy as np

from workloads.contract import Array
from workloads.recommender.ctr import data
from workloads.recommender.ctr.workload import area_under_curve

USER, FILM = 0, 1
"""Their columns among the categories."""
RIDGE = 2.0
SWEEPS = 100


def additive(ids: Array, clicked: Array, vocabulary: int) -> Array:
    """Log-odds of each id, float64 (vocabulary,), that add up over the columns of `ids`.

    Logistic regression with `RIDGE` / 2 times the squares in the loss, fitted by Newton's steps a
    column at a time.
    """
    weights = np.zeros(vocabulary)
    for _ in range(SWEEPS):
        for column in ids.T:
            chance = 1 / (1 + np.exp(-weights[ids].sum(1)))
            slope = np.bincount(column, clicked - chance, vocabulary)
            curvature = np.bincount(column, chance * (1 - chance), vocabulary)
            seen = np.unique(column)
            weights[seen] += ((slope - RIDGE * weights) / (curvature + RIDGE))[seen]
    return weights


def table(vocabulary: int, validation: int) -> dict[str, tuple[float, float]]:
    """AUC on the first `validation` examples of the validation part, and on the test part."""
    parts = data.load("ml-100k")
    train, judged = parts["train"], (parts["valid"], parts["test"])
    found = {}
    for name, columns in {"film": [FILM], "user and film": [USER, FILM]}.items():
        weights = additive(train.categories[:, columns], train.click, vocabulary)
        scores = [weights[part.categories[:, columns]].sum(1) for part in judged]
        clicked = [part.click == 1 for part in judged]
        found[name] = (
            area_under_curve(scores[0][:validation], clicked[0][:validation]),
            area_under_curve(scores[1], clicked[1]),
        )
    return found


if __name__ == "__main__":
    for name, (validation, test) in table(2682, 10_000).items():
        print(f"{name} {validation:.4f} {test:.4f}")
