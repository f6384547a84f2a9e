"""The network, numbers and metric of the rl_nap family; play and memory have a file beside."""

from __future__ import annotations

import re

import numpy as np
import pydantic
import pytest

import workloads
from cluster.parity import in_float32, sgd_jax, sgd_torch
from tests.workloads.answers import answering
from workloads.contract import Window
from workloads.rl_nap.settings import PlayScale
from workloads.rl_nap.workload import Play

TOY = "rl_nap-toy-v1"
IDS = [id for id in workloads.ids() if id.startswith("rl_nap-")]
SCALES = [id for id in IDS if "+" not in id]


def in_torch(workload, weights):
    import torch

    model = workload.torch_model()
    model.load_state_dict({name: torch.from_numpy(w.copy()) for name, w in weights.items()})
    return model


# The numbers


@pytest.mark.parametrize("id", IDS)
def test_evaluations_divide_horizons_and_windows_hold_whole_cycles(id):
    settings = workloads.get(id).settings
    assert settings.step_hint % settings.evaluation_period == 0
    assert settings.evaluation_period * settings.metric_window % settings.data.cycle == 0
    if settings.data.sequence:
        assert settings.step_hint >= 2 * settings.data.cycle, "every game comes again"
        assert settings.data.switch_period % settings.evaluation_period == 0 or (
            settings.evaluation_period % settings.data.switch_period
        )


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("data.games", ["breakuot", "asterix"], "minatar has no game 'breakuot'; did you mean 'br"),
        ("data.units", [1], "1 units for 2 games; give each game its own"),
        ("data.learning_starts", 64, "learning_starts 64 must be more than 7 steps of 16 enviro"),
        ("data.learning_starts", 200_000, "and at most replay 100000"),
        (
            "model.convolutions",
            [{"filters": 8, "kernel": 11, "stride": 1}],
            "convolution 0: kernel 11 does not fit into 10 x 10; make it smaller",
        ),
    ],
)
def test_numbers_that_make_no_sense_are_refused(path, value, message):
    settings = workloads.get(TOY).settings.model_dump()
    section, key = path.split(".")
    settings[section][key] = value
    with pytest.raises(pydantic.ValidationError, match=re.escape(message)):
        PlayScale.model_validate(settings)


def test_a_window_that_cuts_a_cycle_is_refused():
    settings = workloads.get(f"{TOY}+sequence").settings.model_dump()
    with pytest.raises(pydantic.ValidationError, match="make the product a multiple of 10000"):
        PlayScale.model_validate(settings | {"metric_window": 7})


def test_a_sequence_needs_two_games():
    settings = workloads.get(f"{TOY}+sequence").settings.model_dump()
    settings["data"] |= {"games": ["breakout"], "units": [1]}
    with pytest.raises(pydantic.ValidationError, match="a sequence needs two games"):
        PlayScale.model_validate(settings)


# The network


@pytest.mark.parametrize("id", IDS)
def test_hidden_matrices_start_at_their_norm(id):
    workload = workloads.get(id)
    weights, norms = workload.initial_weights(4), workload.settings.network.norms
    for name, norm in norms.items():
        assert np.linalg.norm(weights[name].astype("f8")) == pytest.approx(norm, rel=1e-6)
        assert norm == pytest.approx(np.sqrt(2 * len(weights[name])))
    assert set(weights) - set(norms) == {"head.weight", "head.bias"}


@pytest.mark.parametrize("id", [TOY, f"{TOY}+nonap"])
def test_projection_gives_back_the_norm_and_keeps_the_direction(id):
    import jax

    workload = workloads.get(id)
    weights = workload.initial_weights(0)
    random = np.random.default_rng(0)
    moved = {name: w + random.normal(0, 0.1, w.shape).astype("f4") for name, w in weights.items()}
    model = in_torch(workload, moved)
    model.project()
    ours = {name: p.detach().numpy() for name, p in model.named_parameters()}
    theirs = jax.jit(workload.jax_model().project)(moved)
    for name, value in moved.items():
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5)
        if "nonap" in id or name.startswith("head"):
            np.testing.assert_array_equal(ours[name], value)
        else:
            factor = np.linalg.norm(weights[name]) / np.linalg.norm(value)
            assert factor < 0.99
            np.testing.assert_allclose(ours[name], factor * value, rtol=1e-5)


@pytest.mark.parametrize("id", SCALES)
def test_values_depend_on_the_directions_of_hidden_matrices_alone(id):
    import torch

    workload = in_float32(workloads.get(id))
    weights = workload.initial_weights(1)
    scaled = {name: w * (1 if name.startswith("head") else 3) for name, w in weights.items()}
    seen = torch.from_numpy(workload.batch_like()["observation"][:8])
    with torch.no_grad():
        one, other = (in_torch(workload, w).act(seen).numpy() for w in (weights, scaled))
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    assert np.ptp(one) > 0.1


@pytest.mark.parametrize("id", SCALES)
def test_both_back_ends_compute_the_same_values(id):
    import jax
    import torch

    workload = in_float32(workloads.get(id))
    weights, batch = workload.initial_weights(1), workload.batch_like()
    batch = {name: value[:16] for name, value in batch.items()}
    with torch.no_grad():
        ours = in_torch(workload, weights).act(torch.from_numpy(batch["observation"])).numpy()
    theirs = np.asarray(workload.jax_model().act(weights, batch["observation"]))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    # Two rows at a time: of a large batch's many rectifiers one may lie so near its corner that
    # the frameworks fall on two sides of it, on one class of CPU or another.
    slope = jax.jit(jax.grad(lambda w, rows: workload.jax_model().loss(w, rows, None)[0]))
    gaps = {name: [] for name in weights}
    for first in range(0, 14, 2):
        rows = {name: value[first : first + 2] for name, value in batch.items()}
        slopes = slope(weights, rows)
        model = in_torch(workload, weights)
        tensors = {name: torch.from_numpy(value) for name, value in rows.items()}
        model.loss(tensors, torch.Generator())[0].backward()
        for name, parameter in model.named_parameters():
            gap = np.linalg.norm(parameter.grad.numpy() - slopes[name])
            gaps[name].append(gap / np.linalg.norm(slopes[name]))
    for name, found in gaps.items():
        assert np.median(found) <= 1e-5, (name, found)


def test_loss_and_measure_by_hand():
    import torch

    workload = workloads.get(TOY)
    weights, batch = workload.initial_weights(2), workload.batch_like(1)
    batch["target"] = batch["target"] * 3
    x = batch["observation"].reshape(64, -1).astype(np.float64)
    for index in range(2):
        x = x @ weights[f"layers.{index}.weight"].T.astype(np.float64)
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        x = np.maximum(x, 0)
    values = x @ weights["head.weight"].T + weights["head.bias"]
    taken = values[np.arange(64), batch["action"]]
    size = np.abs(taken - batch["target"])
    losses = np.where(size < 1, size**2 / 2, size - 0.5)
    assert (size > 1).any()
    assert (size < 1).any()
    model = in_torch(workload, weights)
    tensors = {name: torch.from_numpy(value) for name, value in batch.items()}
    loss, sums = model.loss(tensors, torch.Generator())
    theirs, counted = workload.jax_model().loss(weights, batch, None)
    assert loss.item() == pytest.approx(losses.mean(), rel=1e-5)
    assert float(theirs) == pytest.approx(losses.mean(), rel=1e-5)
    for found in (sums, counted):
        assert float(found["value"]) == pytest.approx(taken.mean(), rel=1e-4)
    for judged in (
        sgd_torch.judged(workload.torch_model(), weights),
        sgd_jax.judged(workload.jax_model(), weights),
    ):
        np.testing.assert_array_equal(judged.predict(batch)["action"], values.argmax(1))
        found = judged.measure(batch)
        assert float(found["loss"]) == pytest.approx(losses.sum(), rel=1e-5)
        assert int(found["count"]) == 64


def test_bfloat16_computes_near_float32_over_float32_weights():
    import torch

    exact = in_float32(workloads.get("rl_nap-standard-v1"))
    compute = exact.settings.compute.model_copy(update={"dtype": "bfloat16"})
    rough = Play(
        exact.id, exact.settings.model_copy(update={"compute": compute}), exact.metric, None
    )
    weights, seen = exact.initial_weights(0), exact.batch_like()["observation"][:8]
    with torch.no_grad():
        one, other = (in_torch(w, weights).act(torch.from_numpy(seen)) for w in (rough, exact))
    theirs = np.asarray(rough.jax_model().act(weights, seen))
    assert one.dtype == torch.float32
    assert theirs.dtype == np.float32
    assert (one != other).any()
    np.testing.assert_allclose(one, other, atol=0.1)
    np.testing.assert_allclose(theirs, other, atol=0.1)


# The metric


def still(action):
    weights = workloads.get(TOY).initial_weights(0)
    return answering(
        predict=lambda batch: {"action": np.full(len(batch["observation"]), action)},
        weights={name: 1.5 * value for name, value in weights.items()},
    )


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_metric_is_the_mean_return_of_fixed_episodes(split):
    pytest.importorskip("minatar")
    from minatar import Environment

    workload = workloads.get(TOY)
    stream = workload.stream(0)
    window = Window(4, {"loss": 1.0, "value": 8.0})
    found = workload.evaluate(still(0), split, stream, window)
    assert found == workload.evaluate(still(0), split, workload.stream(9), window)
    number = {"validation": 1, "test": 2}[split]
    seeds = np.random.SeedSequence((20240701, number, 0)).generate_state(
        workload.settings.data.episodes
    )
    returns = []
    for seed in seeds.tolist():
        game = Environment("breakout")
        game.seed(seed)
        game.reset()
        returns.append(0.0)
        over = False
        while not over:
            reward, over = game.act(0)
            returns[-1] += reward
    assert found[f"{split}/return"] == pytest.approx(np.mean(returns))
    if split == "validation":
        assert found["weights/norm_ratio"] == pytest.approx(1.5)
        assert found["train/value"] == 2.0
    else:
        assert set(found) == {"test/return"}


def test_in_a_sequence_the_present_game_is_judged_in_its_unit():
    pytest.importorskip("minatar")
    workload = workloads.get(f"{TOY}+sequence")
    stream = workload.stream(0)
    stream._turn = 1
    found = workload.evaluate(still(5), "validation", stream, Window(0, {}))
    console, count = workload.settings.data.console, workload.settings.data.episodes
    seeds = np.random.SeedSequence((20240701, 1, 1)).generate_state(count).tolist()
    games = console.start("space_invaders", seeds)
    returns, going = np.zeros(count), np.ones(count, bool)
    while going.any():
        rewards, over = games.step(np.full(count, 5))
        returns += rewards * going
        going &= ~over
    assert returns.mean() > 0
    assert found["validation/return"] == pytest.approx(returns.mean() / 4)


def test_an_evaluation_changes_nothing_in_the_stream():
    pytest.importorskip("minatar")
    workload = workloads.get(TOY)
    stream = workload.stream(0)
    before = stream.state()
    workload.evaluate(still(1), "validation", stream, Window(0, {}))
    after = stream.state()
    np.testing.assert_array_equal(before["games"]["keys"], after["games"]["keys"])
    assert before["random"] == after["random"]
