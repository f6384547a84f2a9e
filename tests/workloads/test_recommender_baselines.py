"""Methods without training: what they reach on the family's split."""

from __future__ import annotations

import numpy as np
import pytest

from workloads.recommender import baselines, data
from workloads.recommender.settings import NDCG, SHORT, SHORT_NDCG


def test_the_ranking_is_that_of_the_models() -> None:
    import torch

    from workloads.recommender.model_torch import ranking

    random = np.random.default_rng(0)
    scores = random.integers(0, 12, (40, 130)).astype(np.float64)  # many ties
    status = random.integers(0, 3, (40, 130)).astype(np.uint8)
    theirs = ranking(torch.from_numpy(scores), torch.from_numpy(status))
    np.testing.assert_allclose(baselines.ndcg(scores, status), theirs[NDCG], atol=1e-6)
    np.testing.assert_allclose(baselines.ndcg(scores, status, SHORT), theirs[SHORT_NDCG], atol=1e-6)


def test_ease_is_the_best_linear_model_without_itself() -> None:
    rated = (np.random.default_rng(1).random((50, 8)) < 0.4).astype(np.float64)
    weights = baselines.ease(rated, 3.0)
    assert (np.diag(weights) == 0).all()
    for film in range(8):
        others = np.delete(np.arange(8), film)
        known = rated[:, others]
        ridge = np.linalg.solve(known.T @ known + 3.0 * np.eye(7), known.T @ rated[:, film])
        np.testing.assert_allclose(weights[others, film], ridge, atol=1e-9)


def test_neighbours_are_the_nearest_by_cosine() -> None:
    rated = np.array([[1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 1], [1, 0, 0, 1]], float)
    weights = baselines.item_knn(rated, neighbours=1)
    assert (weights > 0).sum(0).tolist() == [1, 1, 1, 1]
    assert weights[1, 0] == pytest.approx(2 / np.sqrt(3 * 2))


@pytest.mark.network
def test_the_page_s_table() -> None:
    found = baselines.table("ml-100k", 10, 8)
    told = {name: tuple(round(value, 3) for value in v.values()) for name, v in found.items()}
    assert told == {
        "popularity": (0.356, 0.398),
        "ItemKNN": (0.576, 0.548),
        "EASE": (0.614, 0.589),
    }


def test_other_films_of_the_user_are_no_wrong_answers() -> None:
    import torch

    import workloads

    (name,) = [id for id in workloads.ids() if id.startswith("recommender-toy") and "+" not in id]
    workload = workloads.get(name)
    batch = {key: torch.from_numpy(array) for key, array in workload.batch_like().items()}
    model = workload.torch_model()
    weights = workload.initial_weights(0)
    model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    scores = model.predict(batch)["logits"]
    kept = torch.where(batch["known"] == 1, -torch.inf, scores)
    nats = (kept.logsumexp(1) - kept.gather(1, batch["item"].long()[:, None])[:, 0]).sum()
    torch.testing.assert_close(model.measure(batch)["loss"], nats)
    assert (batch["known"].sum(1) > 0).all()


def test_a_training_batch_knows_all_of_a_user_s_films_but_the_one(monkeypatch) -> None:
    from tests.workloads.test_recommender import films
    from workloads.recommender import movielens

    monkeypatch.setattr(movielens, "load", lambda source: films())
    data.load.cache_clear()
    split = data.load("ml-100k", 10)
    make = data.TrainingBatches(split, 10, 0.8)
    rows = np.arange(0, 160, 5)
    batch = make(rows, np.random.default_rng(0))
    data.load.cache_clear()
    for user, item, known in zip(batch["user"], batch["item"], batch["known"], strict=True):
        assert set(np.flatnonzero(known)) | {item} == set(split.train.of(user))
        assert not known[item]
    assert split.rated.sum() == len(split.owner), "batches are copies"
