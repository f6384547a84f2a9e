"""Which examples a selection keeps, what it costs in draws, and that twins choose alike."""

from __future__ import annotations

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import submissions
from submissions.contract import Card
from submissions.load import build, execute, unload
from tests.submissions import problem

SIZE = 4
FRAMEWORKS = ["", "_jax"]
SCORED = types.SimpleNamespace(losses=lambda params, batch: batch["hardness"])
CARD = Card(
    **{
        **vars(problem.card(step_hint=100)),
        "batch_size": SIZE,
        "examples": {"hardness": ((), "float32")},
    }
)


def built(name, card=CARD, **hyperparameters):
    """The module, and what its `submission` returned."""
    source = submissions.find(name)
    module = execute(source)
    params = problem.torch_parameters() if source.framework == "torch" else None
    made = build(module, source, hyperparameters, params=params, card=card)
    unload(source)
    return module, made


def batches(count, like="", more=()):
    rows = np.random.default_rng(0).permutation(count * SIZE).astype(np.float32)
    parts = rows.reshape(count, SIZE)
    drawn = [
        {"hardness": part, "catalogue": np.ones((1, 3), np.float32)}
        | {name: -part if name == "length" else part for name in more}
        for part in parts
    ]
    if like:
        return drawn
    return [{name: torch.from_numpy(value) for name, value in one.items()} for one in drawn]


def after(steps, name, made):
    """The state of an optimizer that made so many steps."""
    if not name.endswith("_jax"):
        return {"w": {"step": torch.tensor(float(steps))}}
    first, *rest = made.init(problem.arrays())
    return (first._replace(count=jnp.array(steps)), *rest)


def rows_of(drawn):
    return np.concatenate([np.asarray(one["hardness"]) for one in drawn])


@pytest.mark.parametrize("like", FRAMEWORKS)
@pytest.mark.parametrize("pool", [2, 3])
def test_the_hardest_examples_of_the_pool_fill_one_batch(pool, like):
    name = f"by_loss{like}"
    module, made = built(name, pool=pool)
    drawn = batches(5, like)
    left = iter(drawn)
    chosen, _ = module.select_data({}, after(0, name, made), left, SCORED)
    assert chosen["hardness"].tolist() == sorted(rows_of(drawn[:pool]), reverse=True)[:SIZE]
    assert chosen["catalogue"].shape == (1, 3)
    assert len(list(left)) == 5 - pool


@pytest.mark.parametrize("like", FRAMEWORKS)
def test_before_it_begins_batches_pass_as_they_are(like):
    name = f"by_loss{like}"
    module, made = built(name, begin=0.5)
    drawn = batches(4, like)
    for done, kept in ((0, True), (49, True), (50, False)):
        state = after(done, name, made)
        chosen, _ = module.select_data({}, state, iter(drawn), SCORED)
        assert (chosen is drawn[0]) == kept


@pytest.mark.parametrize("like", FRAMEWORKS)
@pytest.mark.parametrize(("done", "pool"), [(0, 4), (9, 3), (20, 2), (50, 1), (500, 1)])
def test_the_pool_of_short_examples_shrinks_to_the_stream_itself(done, pool, like):
    name = f"by_length{like}"
    module, made = built(name, pool=4, until=0.5)
    drawn = batches(5, like, more=["length"])
    left = iter(drawn)
    chosen, _ = module.select_data({}, after(done, name, made), left, SCORED)
    assert len(list(left)) == 5 - pool
    # The longest are the least hard ones here: the field is asked, and not the loss.
    assert sorted(chosen["hardness"].tolist()) == sorted(rows_of(drawn[:pool]))[-SIZE:]


@pytest.mark.parametrize("like", FRAMEWORKS)
def test_where_examples_have_no_length_the_easiest_come_first(like):
    name = f"by_length{like}"
    module, made = built(name, pool=3)
    drawn = batches(3, like)
    chosen, _ = module.select_data({}, after(0, name, made), iter(drawn), SCORED)
    assert chosen["hardness"].tolist() == sorted(rows_of(drawn))[:SIZE]


def repeated(name, steps, **hyperparameters):
    """The rows of each step's batch, and how many were drawn."""
    _, made = built(name, **hyperparameters)
    left = iter(batches(steps + 1, name.removeprefix("by_repetition")))
    params = problem.arrays()
    if name.endswith("_jax"):
        params = {key: jnp.asarray(value) for key, value in params.items()}
    state = made.init(params)
    seen = []
    for step in range(steps):
        batch, state = made.select_data(params, state, left, SCORED)
        seen.append(tuple(np.asarray(batch["hardness"]).tolist()))
        count = jnp.array(step + 1) if name.endswith("_jax") else step + 1
        state = state | {"steps": count}
    return seen, steps + 1 - len(list(left))


def test_the_share_of_repeated_steps_and_their_number_are_the_stated_ones():
    seen, drawn = repeated("by_repetition", 300, share=0.5, times=25.0)
    # Two batches are kept, of a horizon of a hundred steps.
    again = [seen.count(one) for one in seen[:2]]
    assert drawn == 300 - sum(again) + 2
    assert 100 < sum(again) < 200
    assert all(seen.count(one) == 1 for one in set(seen) - set(seen[:2]))


def test_twins_repeat_the_same_batches_at_the_same_steps():
    chosen = {"share": 0.4, "times": 10.0}
    assert repeated("by_repetition", 40, **chosen) == repeated("by_repetition_jax", 40, **chosen)


@pytest.mark.parametrize("name", ["by_angle", "by_angle_jax"])
def test_concentration_is_one_for_one_direction_and_least_for_all(name):
    module, _ = built(name)
    one_way = np.outer(np.arange(1.0, 4.0), np.arange(1.0, 6.0))
    all_ways = np.eye(3, 5)
    matrices = np.stack([one_way, all_ways, np.zeros((3, 5))]).astype(np.float32)
    if name == "by_angle":
        given = module.concentration(torch.from_numpy(matrices)).numpy()
    else:
        given = np.asarray(module.concentration(jnp.asarray(matrices)))
    np.testing.assert_allclose(given, [1.0, 3**-0.5, 0.0], rtol=1e-6)


class Sequences:
    """A linear map of positions onto targets: an example's gradient adds up over its positions."""

    classes = None

    def loss(self, params, batch):
        out = batch["x"] @ params["in.weight"].T
        return ((out - batch["y"]) ** 2).mean()

    def value_and_grad(self, params, batch):
        return jax.value_and_grad(self.loss)(params, batch)


def test_twins_choose_the_same_examples_by_angle_first_the_concentrated_ones():
    rng = np.random.default_rng(0)
    inner, hidden, _ = problem.WIDTHS
    spread = np.linspace(0, 3, 12, dtype=np.float32)[:, None, None]
    x = 1 + spread * rng.standard_normal((12, 5, inner)).astype(np.float32)
    y = np.ones((12, 5, hidden), np.float32)
    order = rng.permutation(12)
    drawn = [{"x": x[i], "y": y[i]} for i in order.reshape(2, 6)]
    card = Card(
        **{
            **vars(CARD),
            "shapes": {"in.weight": (hidden, inner)},
            "roles": {"in.weight": "weight"},
        }
    )
    for done in (0, 50, 100):
        module, _ = built("by_angle", card)
        as_tensors = [{n: torch.from_numpy(v) for n, v in one.items()} for one in drawn]
        params = {"in.weight": torch.from_numpy(problem.arrays()["in.weight"])}
        state = {"in.weight": {"step": torch.tensor(float(done))}}
        chosen, _ = module.select_data(params, state, iter(as_tensors), Sequences())

        _, made = built("by_angle_jax", card)
        there = {name: jnp.asarray(value.numpy()) for name, value in params.items()}
        pool, _ = made.select_data(there, {}, iter(drawn), Sequences())
        other = made._chosen(there, jnp.array(done), pool, Sequences())
        np.testing.assert_array_equal(chosen["x"].numpy(), other["x"])
        picked = [int(np.flatnonzero((x == row).all((1, 2)))[0]) for row in chosen["x"].numpy()]
        if done == 0:
            assert 0 in picked
        assert len(set(picked)) == 6
    assert 0 not in picked
