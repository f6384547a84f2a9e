"""The methods against the loss of plasticity: what each does to weights, and that twins agree."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import submissions
import workloads
from submissions.contract import Parameters, SubmissionError
from submissions.load import build, execute, unload
from tests.submissions import problem
from tests.submissions.test_shipped import make

FLAT = {"warmup": 0.0, "decay": "constant"}
ROLES = {"a.weight": "weight", "a.bias": "bias", "b.weight": "weight", "b.bias": "bias"}
ROLES |= {"head.weight": "head", "head.bias": "bias"}
SHAPES = {"a.weight": (8, 5), "a.bias": (8,), "b.weight": (6, 8), "b.bias": (6,)}
SHAPES |= {"head.weight": (3, 6), "head.bias": (3,)}
CARD = dataclasses.replace(problem.card(), roles=ROLES, shapes=SHAPES)


def weights():
    rng = np.random.default_rng(3)
    return {n: (rng.standard_normal(s) / 2).astype(np.float32) for n, s in SHAPES.items()}


def batch():
    rng = np.random.default_rng(4)
    shapes = {"x": (12, 5), "y": (12, 3), "table": (1, 2)}
    return {n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()}


class Network:
    """Two hidden layers of rectified units; `lib` is torch or jax.numpy."""

    classes = None

    def __init__(self, lib):
        self.lib = lib

    def hidden(self, params, x):
        layers = []
        for name in ("a", "b"):
            x = x @ params[f"{name}.weight"].T + params[f"{name}.bias"]
            x = (abs(x) + x) / 2
            layers.append(x)
        return layers

    def loss(self, params, batch):
        last = self.hidden(params, batch["x"])[-1]
        out = last @ params["head.weight"].T + params["head.bias"]
        return ((out - batch["y"]) ** 2).mean()

    def value_and_grad(self, params, batch):
        if self.lib is jnp:
            return jax.value_and_grad(self.loss)(params, batch)
        leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
        with torch.enable_grad():
            value = self.loss(leaves, batch)
            gradients = torch.autograd.grad(value, list(leaves.values()))
        return value.detach(), dict(zip(leaves, gradients, strict=True))


def built(name, **hyperparameters):
    source = submissions.find(name)
    module = execute(source)
    params = None
    if source.framework == "torch":
        params = Parameters(tensors(weights()), ROLES)
    made = build(module, source, hyperparameters, params=params, card=CARD)
    unload(source)
    return made, module


def tensors(arrays):
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def steps(name, start, count, **hyperparameters):
    """Weights after `count` steps, and the state."""
    made, _ = built(name, **hyperparameters)
    if name.endswith("_jax"):
        params = {n: jnp.asarray(w) for n, w in start.items()}
        state = made.init(params)
        for _ in range(count):
            params, state = made.update(params, state, batch(), Network(jnp))
    else:
        params = {n: torch.nn.Parameter(w) for n, w in tensors(start).items()}
        with torch.no_grad():
            state = made.init(params)
            for _ in range(count):
                state = made.update(params, state, tensors(batch()), Network(torch))
    return {n: np.asarray(getattr(p, "detach", lambda p=p: p)()) for n, p in params.items()}, state


def silenced():
    """Weights of which unit 2 of the first layer and unit 4 of the second never answer."""
    start = weights()
    for layer, unit in (("a", 2), ("b", 4)):
        start[f"{layer}.weight"][unit] = 0.0
        start[f"{layer}.bias"][unit] = -1.0
    return start


@pytest.mark.parametrize("name", ["redo", "redo_jax"])
def test_the_score_is_the_papers_relative_activity(name):
    made, _ = built(name, sample=12)
    start, data = weights(), batch()
    if name == "redo":
        with torch.no_grad():
            scores = made._activity(tensors(start), tensors(data), Network(torch))
    else:
        scores = made._activity({n: jnp.asarray(w) for n, w in start.items()}, data, Network(jnp))
    layers = Network(np).hidden(start, data["x"])
    for writer, h in zip(("a.weight", "b.weight"), layers, strict=True):
        expected = (np.abs(h) / np.abs(h).mean(1, keepdims=True)).mean(0)
        np.testing.assert_allclose(np.asarray(scores[writer]), expected, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["redo", "redo_jax"])
def test_dormant_units_are_recycled_at_the_periods_end_and_no_others(name):
    for count, due in ((1, False), (2, True)):
        after, _ = steps(name, silenced(), count, lr=1e-6, period=2, threshold=1e-3)
        moved = {n: np.abs(after[n] - silenced()[n]) > 1e-3 for n in after}
        for layer, unit, reader in (("a", 2, "b"), ("b", 4, "head")):
            assert moved[f"{layer}.weight"][unit].any() == due
            assert not np.delete(moved[f"{layer}.weight"], unit, 0)[:, [0, 1]].any()
            # The recycled unit of the next layer has new weights there.
            outgoing = np.delete(after[f"{reader}.weight"][:, unit], 4 if reader == "b" else [])
            assert (outgoing == 0).all() == due
            assert (after[f"{layer}.bias"][unit] == 0) == due


@pytest.mark.parametrize("name", ["continual_backprop", "continual_backprop_jax"])
def test_the_least_useful_grown_unit_is_replaced_when_a_whole_one_is_due(name):
    # A fourth of eight units, and of six, is due in the one step after both have grown.
    chosen = {"lr": 1e-6, "replacement": 0.25, "maturity": 2}
    before, _ = steps(name, weights(), 2, **chosen)
    after, state = steps(name, weights(), 3, **chosen)
    layers = Network(np).hidden(weights(), batch()["x"][:1])
    for layer, reader, h in zip(("a", "b"), ("b", "head"), layers, strict=True):
        useful = h[0] * np.abs(weights()[f"{reader}.weight"]).sum(0)
        age = np.asarray(state["age"][f"{layer}.weight"])
        (replaced,) = np.flatnonzero(age == 0)
        assert (np.delete(age, replaced) == 3).all()
        assert replaced == useful.argmin()
        assert np.abs(after[f"{layer}.weight"] - before[f"{layer}.weight"])[replaced].max() > 1e-3
        assert after[f"{layer}.bias"][replaced] == 0
        assert not (before[f"{reader}.weight"][:, replaced] == 0).any()
        assert np.count_nonzero(after[f"{reader}.weight"][:, replaced]) <= 1
    assert float(state["due"]["a.weight"]) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["redo", "continual_backprop"])
def test_twins_take_the_same_steps_until_something_is_drawn(name):
    left, _ = steps(name, weights(), 10, lr=1e-2)
    right, _ = steps(f"{name}_jax", weights(), 10, lr=1e-2)
    for key, array in left.items():
        np.testing.assert_allclose(right[key], array, rtol=1e-4, atol=1e-5, err_msg=key)


UNITS = {
    "lm": ["blocks.0.up.weight", "blocks.1.up.weight"],
    "recommender": ["user_up.weight", "item_up.weight"],
    "rl_nap": ["layers.0.weight", "layers.1.weight"],
    "lifelong": ["layers.0.weight", "layers.1.weight"],
    "homeostatic": ["layers.0.weight", "layers.1.weight", "layers.2.weight"],
    "climate": ["blocks.0.up.weight", "blocks.1.up.weight"],
}


@pytest.mark.parametrize("family", UNITS)
def test_units_are_those_of_feed_forward_chains(family):
    (id,) = (id for id in workloads.ids(variants=False) if id.startswith(f"{family}-toy-"))
    specs = workloads.get(id).parameters().items()
    card = dataclasses.replace(
        CARD,
        roles={name: spec.role for name, spec in specs},
        shapes={name: tuple(spec.shape) for name, spec in specs},
    )
    for name in ("redo", "redo_jax", "continual_backprop", "continual_backprop_jax"):
        _, module = built(name)
        assert list(module.units(card)) == UNITS[family]


def test_a_model_without_such_units_is_refused_in_a_line():
    source = submissions.find("redo_jax")
    module = execute(source)
    with pytest.raises(SubmissionError, match="no feed-forward units to recycle"):
        build(module, source, {}, params=None, card=problem.card())
    unload(source)


@pytest.mark.parametrize("base", ["sgd", "adamw", "nadamw"])
def test_nap_keeps_each_hidden_matrixs_norm_and_twins_agree(base):
    chosen = {"base": base, "lr": 0.02, "weight_decay": 0.5}
    left = make("nap", np.float64, **chosen)
    begin = left.weights()
    left.steps(20)
    with jax.enable_x64(True):
        right = make("nap_jax", np.float64, **chosen)
        right.steps(20)
    for key, array in left.weights().items():
        assert np.abs(array - begin[key]).max() > 1e-3
        np.testing.assert_allclose(right.weights()[key], array, rtol=1e-5, atol=1e-7)
        if problem.ROLES[key] == "weight":
            assert np.linalg.norm(array) == pytest.approx(np.linalg.norm(begin[key]), rel=1e-12)


def test_naps_step_is_the_bases_and_then_a_projection():
    run = make("nap", np.float64, base="nadamw", lr=0.02, **FLAT)
    params = problem.torch_parameters(np.float64)
    bare = torch.optim.NAdam(
        params, 0.02, momentum_decay=1e9, decoupled_weight_decay=True, weight_decay=0.0
    )
    matrices = params.of("weight")
    norms = [p.detach().norm() for p in matrices]
    for _ in range(10):
        bare.zero_grad()
        problem.torch_loss(params).backward()
        bare.step()
        with torch.no_grad():
            for p, norm in zip(matrices, norms, strict=True):
                p.mul_(norm / p.norm())
    run.steps(10)
    for key, array in run.weights().items():
        np.testing.assert_allclose(array, params.named[key].detach().numpy(), rtol=1e-12)


def test_l2_init_is_adam_on_the_loss_with_the_squared_distance_from_the_start():
    run = make("l2_init", np.float64, lr=0.02, strength=0.1)
    params = problem.torch_parameters(np.float64)
    start = [p.detach().clone() for p in params]
    bare = torch.optim.Adam(params, lr=0.02)
    for _ in range(20):
        bare.zero_grad()
        away = sum(((p - s) ** 2).sum() for p, s in zip(params, start, strict=True))
        (problem.torch_loss(params) + 0.1 * away).backward()
        bare.step()
    run.steps(20)
    with jax.enable_x64(True):
        twin = make("l2_init_jax", np.float64, lr=0.02, strength=0.1)
        twin.steps(20)
    for key, array in run.weights().items():
        np.testing.assert_allclose(array, params.named[key].detach().numpy(), rtol=1e-9)
        np.testing.assert_allclose(twin.weights()[key], array, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["shrink_and_perturb", "shrink_and_perturb_jax"])
def test_shrink_and_perturb_moves_matrices_alone_and_as_often_as_told(name):
    plain = make(name, lr=0.01, shrink=0.0, perturb=0.0)
    shrunk = make(name, lr=0.01, shrink=0.5, perturb=0.0, every=2)
    noisy = make(name, lr=0.01, shrink=0.0, perturb=0.5, every=2)
    for run in (plain, shrunk, noisy):
        run.steps(1)
    for key, array in plain.weights().items():
        np.testing.assert_allclose(array, shrunk.weights()[key], rtol=1e-6)
    for run in (plain, shrunk, noisy):
        run.steps(1)
    start = problem.arrays()
    for key, array in plain.weights().items():
        matrix = problem.ROLES[key] == "weight"
        scale = 0.5 if matrix else 1.0
        np.testing.assert_allclose(shrunk.weights()[key], scale * array, rtol=1e-5)
        noise = noisy.weights()[key] - array
        if matrix:
            assert noise.std() == pytest.approx(0.5 * start[key].std(), rel=0.4)
        else:
            assert np.abs(noise).max() < 1e-6
