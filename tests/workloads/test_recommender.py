"""Two towers for cold users: the batches, the ranking against brute force, configuration."""

from __future__ import annotations

import collections
import json
import math
import re

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workloads
from tests.workloads.answers import answering
from workloads.contract import Window
from workloads.recommender import data, movielens
from workloads.recommender.settings import (
    CUT,
    HIT_RATE,
    NDCG,
    RANKING,
    RECALL,
    SHORT,
    SHORT_NDCG,
    RecommenderScale,
)
from workloads.recommender.stream import epochs, fixed_order
from workloads.recommender.workload import Recommender

TOY = "recommender-toy-v3"
IDS = [id for id in workloads.ids() if id.startswith("recommender-") and not id.endswith("+ctr")]


def films(users=40, items=60, seed=0):
    """Made-up ratings: each user 14 to 30 films, at times that grow with the user."""
    random = np.random.default_rng(seed)
    counts = random.integers(14, 30, users)
    user = np.repeat(np.arange(users, dtype=np.int32), counts)
    item = np.concatenate([random.permutation(items)[:n] for n in counts]).astype(np.int32)
    # The last user came first, so that the order in time is another than the numbers'.
    time = (users - user) * 10_000 + np.concatenate([np.arange(n) for n in counts])
    return movielens.MovieLens(
        user=user,
        item=item,
        stars=random.integers(1, 6, len(user)).astype(np.float32),
        time=time.astype(np.int64),
        fields=random.integers(0, 2, (users, 4)).astype(np.int32) + movielens.OFFSETS,
        genres=random.integers(0, 2, (items, len(movielens.GENRES))).astype(np.uint8),
        period=random.integers(0, movielens.PERIODS, items).astype(np.int32),
    )


@pytest.fixture
def split(monkeypatch):
    monkeypatch.setattr(movielens, "load", lambda source: films())
    data.load.cache_clear()
    yield data.load("ml-100k", 10)
    data.load.cache_clear()


def small(id=TOY, **changes):
    """The workload of that id for the made-up films, in float32."""
    workload = workloads.get(id)
    stated = workload.settings
    settings = stated.model_copy(
        update={
            "batch_size": 16,
            "data": stated.data.model_copy(update={"users": 40, "items": 60, "rows": 7} | changes),
            "compute": stated.compute.model_copy(update={"dtype": "float32", "compile": False}),
        }
    )
    return Recommender(workload.id, settings, workload.metric, None)


# The split


def test_no_rating_of_a_cold_user_is_trained_on(split):
    made = films()
    assert split.warm_users == 32
    # Users are renumbered by their first rating, which the made-up times put in reverse.
    for user in range(40):
        rated = made.item[made.user == 39 - user]
        if user < 32:
            both = np.concatenate([split.train.of(user), split.held_out.of(user)])
            assert len(split.held_out.of(user)) == max(1, len(rated) // 10)
        else:
            both = split.cold.of(user - 32)
        times = made.time[made.user == 39 - user]
        np.testing.assert_array_equal(both, rated[np.argsort(times)])
    assert len(split.owner) == len(split.train.items) == split.train.starts[-1]
    assert len(split.cold.items) + len(split.train.items) + len(split.held_out.items) == len(
        made.user
    )


def test_validation_and_test_users_are_apart_and_alike(split):
    validation, test = split.cold_group("validation"), split.cold_group("test")
    assert not set(validation) & set(test)
    assert sorted(validation + test) == list(range(8))
    assert len(test) == 2
    counts = np.diff(split.cold.starts)
    assert min(counts[validation]) <= min(counts[test])
    assert max(counts[test]) <= max(counts[validation])


@pytest.mark.parametrize("group", ["validation", "test", "warm"])
def test_ranking_batches_ask_for_what_was_not_told(split, group):
    batches = data.ranking_batches(split, group, 10, 3, rows=5)
    users = np.concatenate([batch["user"] for batch in batches])
    cold = split.cold_group(group) if group != "warm" else list(range(0, 32, 3))
    assert len(users) == 3 * len(cold)
    row = 0
    for batch in batches:
        for at in range(len(batch["user"])):
            user, status = cold[row % len(cold)], batch["status"][at]
            history = split.train if group == "warm" else split.cold
            known = set(batch["profile"][at].tolist())
            assert len(known) == 10
            assert known <= set(history.of(user).tolist())
            found = set(np.flatnonzero(status == data.RELEVANT).tolist())
            seen = set(np.flatnonzero(status == data.SEEN).tolist())
            if group == "warm":
                assert (found, seen) == (
                    set(split.held_out.of(user).tolist()),
                    set(split.train.of(user).tolist()),
                )
                assert batch["user"][at] == user
            else:
                assert (found, seen) == (set(history.of(user).tolist()) - known, known)
                assert batch["user"][at] == 0
            assert batch["user_kept"][at] == (group == "warm")
            number = user if group == "warm" else 32 + user
            np.testing.assert_array_equal(batch["fields"][at], split.fields[number])
            row += 1
    first, fewer = batches[0]["profile"], data.ranking_batches(split, group, 10, 1, 2)[0]["profile"]
    np.testing.assert_array_equal(first[: len(fewer)], fewer)


def test_profiles_differ_between_draws(split):
    (batch,) = data.ranking_batches(split, "validation", 10, 2, rows=100)
    half = len(batch["profile"]) // 2
    draws = batch["profile"][:half], batch["profile"][half:]
    assert any(set(a) != set(b) for a, b in zip(*draws, strict=True))


def test_a_user_who_rated_too_little_is_told(monkeypatch):
    monkeypatch.setattr(movielens, "load", lambda source: films())
    data.load.cache_clear()
    with pytest.raises(workloads.errors.WorkloadError, match=r"rated 1\d films; 24 are needed"):
        data.load("ml-100k", 20)
    data.load.cache_clear()


def test_another_number_of_users_than_stated_is_refused(split):
    with pytest.raises(
        workloads.errors.WorkloadError,
        match="ml-100k: 40 users and 60 rated films, expected 41 and 60",
    ):
        small(users=41).stream(0)


# The training batches


@given(
    st.lists(st.tuples(st.integers(4, 40), st.integers(0, 3)), min_size=1, max_size=20),
    st.integers(0, 2**32),
)
def test_a_profile_is_distinct_and_without_the_positive(histories, seed):
    sizes, positives = (np.array(column) for column in zip(*histories, strict=True))
    drawn = data.draw_profiles(sizes, positives, 3, np.random.default_rng(seed))
    assert drawn.shape == (len(histories), 3)
    for row, size, positive in zip(drawn, sizes, positives, strict=True):
        assert len({*row.tolist(), int(positive)}) == 4
        assert row.min() >= 0
        assert row.max() < size


def test_every_profile_is_equally_likely():
    random, count = np.random.default_rng(0), 30_000
    drawn = data.draw_profiles(np.full(count, 6), np.full(count, 2), 3, random)
    seen = collections.Counter(tuple(sorted(row)) for row in drawn.tolist())
    assert len(seen) == 10  # 5 over 3, from the places 0, 1, 3, 4, 5
    expected = count / 10
    chi2 = sum((n - expected) ** 2 / expected for n in seen.values())
    assert chi2 < 27.9  # the 0.999 quantile at 9 degrees of freedom


def test_a_training_batch_tells_of_warm_users_films(split):
    make = data.TrainingBatches(split, 10, 0.8)
    rows = np.arange(0, len(split.owner), 7)
    batch = make(rows, np.random.default_rng(0))
    for at, row in enumerate(rows):
        user = int(split.owner[row])
        history = set(split.train.of(user).tolist())
        assert batch["user"][at] == user
        assert batch["item"][at] == split.train.items[row]
        told = set(batch["profile"][at].tolist())
        assert len(told) == 10
        assert told <= history - {int(batch["item"][at])}
        np.testing.assert_array_equal(batch["fields"][at], split.fields[user])


def test_ids_are_dropped_at_the_stated_rate(split):
    make = data.TrainingBatches(split, 10, 0.8)
    random = np.random.default_rng(0)
    kept = [make(np.arange(100), random)["user_kept"].mean() for _ in range(100)]
    assert np.mean(kept) == pytest.approx(0.2, abs=0.02)


# The stream


def make_rows(rows, random):
    return {"rows": rows.copy(), "noise": random.random(2)}


def draw(source, count):
    return [source.next(lambda seen: seen) for _ in range(count)]


@given(st.integers(0, 30), st.integers(0, 12), st.sampled_from([0, 3]))
def test_a_stream_continues_where_its_state_was_taken(before, after, prefetch):
    first = epochs(22, 4, make_rows, 5, prefetch)
    draw(first, before)
    state = json.loads(json.dumps(first.state()))
    second = epochs(22, 4, make_rows, 99, prefetch)
    draw(second, 7)
    second.load_state(state)
    for one, other in zip(draw(first, after), draw(second, after), strict=True):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[key], other[key]) for key in one)
    first.close()
    second.close()


def test_an_epoch_shows_no_example_twice_and_the_next_leaves_out_others():
    source = epochs(22, 4, make_rows, 0)
    shown = [np.concatenate([b["rows"] for b in draw(source, 5)]) for _ in range(2)]
    assert all(len(set(epoch.tolist())) == 20 for epoch in shown)
    assert set(shown[0].tolist()) != set(shown[1].tolist())


def test_prefetching_changes_nothing():
    plain, ahead = epochs(22, 4, make_rows, 3), epochs(22, 4, make_rows, 3, prefetch=2)
    for one, other in zip(draw(plain, 13), draw(ahead, 13), strict=True):
        assert all(np.array_equal(one[key], other[key]) for key in one)
    ahead.close()


def test_the_fixed_order_is_splitmix64():
    # The first outputs of Vigna's splitmix64.c begun with 0 and with 1234567.
    assert int(fixed_order(np.array([0]))[0]) == 0xE220A8397B1DCDAF
    assert int(fixed_order(np.array([1234567]))[0]) == 6457827717110365317


# The ranking


def brute_force(scores, status):
    """The metrics of one row, averaged over every order that its ties allow."""
    import itertools

    items = [i for i in range(len(scores)) if status[i] != data.SEEN]
    groups = []
    for _, group in itertools.groupby(sorted(items, key=lambda i: -scores[i]), lambda i: scores[i]):
        groups.append(list(itertools.permutations(group)))
    relevant = [i for i in items if status[i] == data.RELEVANT]

    def ndcg(ranks, cut):
        gained = sum(1 / np.log2(rank + 1) for rank in ranks if rank <= cut)
        return gained / sum(1 / np.log2(rank + 1) for rank in range(1, min(len(relevant), cut) + 1))

    found = []
    for orders in itertools.product(*groups):
        ranked = [i for order in orders for i in order]
        ranks = [rank for rank, i in enumerate(ranked, 1) if i in relevant]
        short = [rank for rank in ranks if rank <= SHORT]
        found.append((ndcg(ranks, CUT), ndcg(ranks, SHORT), bool(short)))
        found[-1] += (len(short) / len(relevant), 1 / short[0] if short else 0.0)
    return np.mean(found, axis=0)


def both_rankings(scores, status):
    import torch

    from workloads.recommender import model_jax, model_torch

    ours = model_torch.ranking(torch.from_numpy(scores), torch.from_numpy(status))
    theirs = model_jax.ranking(scores, status)
    assert tuple(ours) == tuple(theirs) == RANKING
    for name, value in ours.items():
        np.testing.assert_allclose(value.numpy(), theirs[name], rtol=1e-6, atol=1e-7)
    return {name: value.numpy() for name, value in ours.items()}


def test_the_ranking_without_ties_is_brute_forces():
    random = np.random.default_rng(0)
    scores = random.permuted(np.tile(np.arange(2 * CUT, dtype=np.float32), (60, 1)), axis=1)
    status = random.choice(3, scores.shape, p=[0.8, 0.1, 0.1]).astype(np.uint8)
    status[:, 0] = data.RELEVANT
    found = both_rankings(scores, status)
    for row in range(60):
        expected = brute_force(scores[row], status[row])
        got = [value[row] for value in found.values()]
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_tied_scores_count_as_in_the_mean_over_their_orders():
    random = np.random.default_rng(1)
    levels = np.array([9, 9, 8, 7, 7, 7, 6, 5, 4, 3, 3, 3, 3, 2, 1], np.float32)
    status = random.choice(3, (30, 15), p=[0.55, 0.35, 0.1]).astype(np.uint8)
    status[:, 2] = data.RELEVANT
    found = both_rankings(np.tile(levels, (30, 1)), status)
    for row in range(30):
        expected = brute_force(levels, status[row])
        got = [value[row] for value in found.values()]
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_all_scores_alike_rank_as_at_random():
    items, relevant = 5 * CUT, CUT
    status = np.zeros((1, items), np.uint8)
    status[0, :relevant] = data.RELEVANT
    found = both_rankings(np.zeros((1, items), np.float32), status)
    for name in (NDCG, SHORT_NDCG):
        assert found[name][0] == pytest.approx(relevant / items, rel=1e-5)
    assert found[RECALL][0] == pytest.approx(SHORT / items, rel=1e-5)
    none = math.comb(items - relevant, SHORT) / math.comb(items, SHORT)
    assert found[HIT_RATE][0] == pytest.approx(1 - none, rel=1e-5)


def test_scores_that_are_no_numbers_have_no_metric():
    scores = np.full((1, 2 * CUT), np.nan, np.float32)
    status = np.full(scores.shape, data.RELEVANT, np.uint8)
    assert all(np.isnan(value).all() for value in both_rankings(scores, status).values())


# The workload


def test_evaluation_averages_over_users_and_tells_the_gates(split):
    workload = small()
    calls = []

    def predict(batch):
        calls.append(batch)
        rows = len(batch["user"])
        value = np.full(rows, 0.5 if batch["user_kept"][0] else 0.25, np.float32)
        named = dict.fromkeys(RANKING, value)
        return named | {"field_gate": np.full((rows, 4), 0.25), "item_gate": np.full(rows, 0.5)}

    window = Window(10, {"loss": 60.0, "contrast": 30.0})
    metrics = workload.evaluate(
        answering(predict=predict), "validation", workload.stream(0), window
    )
    assert metrics[f"validation/{NDCG}"] == pytest.approx(0.25)
    assert metrics[f"warm/{NDCG}"] == pytest.approx(0.5)
    assert metrics["gate/age"] == pytest.approx(0.25)
    assert metrics["gate/item_id"] == pytest.approx(0.5)
    assert metrics["train/contrast"] == pytest.approx(3.0)
    assert sum(len(batch["user"]) for batch in calls) == 8 * 6 + 11
    tested = workload.evaluate(answering(predict=predict), "test", workload.stream(0), window)
    assert tested == pytest.approx({f"test/{name}": 0.25 for name in RANKING})


@pytest.mark.parametrize("id", IDS)
def test_every_scale_and_variant_has_the_shapes_it_states(id):
    workload = workloads.get(id)
    assert workload.metric.name == f"validation/{NDCG}"
    assert workload.metric.goal == "max"
    specs = workload.parameters()
    assert specs["user_id.weight"].shape[0] == int(0.8 * workload.settings.data.users)
    assert specs["profile.weight"].role == "embedding"
    assert specs["item_bias.weight"].role == "bias"
    assert workload.settings.step_hint % workload.settings.evaluation_period == 0


def test_a_shorter_profile_is_a_variant():
    assert workloads.get(TOY).settings.data.profile == 10
    assert workloads.get(f"{TOY}+shortprofile").settings.data.profile == 3


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("data", "id_drop", 1.0, "less than 1"),
        ("data", "source", "ml-10m", "'ml-100k' or 'ml-1m'"),
        ("model", "temperature", 0.0, "greater than 0"),
        ("data", "profil", 3, "Extra inputs"),
    ],
)
def test_settings_check_themselves(section, key, value, message):
    stated = workloads.get(TOY).settings.model_dump()
    stated[section][key] = value
    with pytest.raises(pydantic.ValidationError, match=re.escape(message)):
        RecommenderScale.model_validate(stated)


def test_the_contrast_leaves_out_twins():
    """Of two equal users in a batch neither is the other's negative."""
    import torch

    workload = small()
    model = workload.torch_model()
    identity = torch.eye(3, 8)[[0, 0, 1]]
    user = torch.tensor([4, 4, 5])
    found = model._contrast(identity, identity, user)
    heat = np.exp(1 / workload.settings.model.temperature)
    # Of the two candidates left to each of the first two, and of all three to the last.
    expected = (2 * np.log1p(1 / heat) + np.log1p(2 / heat)) / 3
    assert float(found) == pytest.approx(expected, rel=1e-3)


def test_bfloat16_computes_near_float32_over_float32_weights(split):
    import torch

    exact = small()
    compute = exact.settings.compute.model_copy(update={"dtype": "bfloat16"})
    rough = Recommender(
        exact.id, exact.settings.model_copy(update={"compute": compute}), exact.metric, None
    )
    batch = exact.stream(0).next(lambda seen: seen)
    weights, losses = exact.initial_weights(0), []
    for workload in (exact, rough):
        model = workload.torch_model()
        model.load_state_dict({name: torch.from_numpy(v.copy()) for name, v in weights.items()})
        tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
        loss, _ = model.loss(tensors, torch.Generator())
        loss.backward()
        assert all(p.grad.dtype == torch.float32 for p in model.parameters())
        in_jax, _ = workload.jax_model().loss(weights, batch, None)
        assert loss.item() == pytest.approx(float(in_jax), rel=0.01)
        losses.append(loss.item())
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
