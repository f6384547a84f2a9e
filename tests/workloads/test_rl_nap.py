"""The network, numbers and metric of the rl_nap family; play and memory have a file beside."""

from __future__ import annotations

import re

import numpy as np
import pydantic
import pytest

import workloads
from cluster.checks.parity import in_float32, sgd_jax, sgd_torch
from tests.workloads.answers import answering
from workloads.contract import Window
from workloads.rl_nap.settings import PlayScale
from workloads.rl_nap.workload import Play

TOY = "rl_nap-toy-v3"
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
        assert settings.held.steps == settings.data.cycle, "and a target holds while it does"
    else:
        assert settings.held is None


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "data.games",
            [{"name": "breakuot", "random": 0, "good": 1}],
            "minatar has no game 'breakuot'; did you mean 'breakout'",
        ),
        (
            "data.games",
            [{"name": "catch", "random": 3, "good": 3}],
            "catch: good play returns 3, no more than random play's 3; set it to a good player",
        ),
        (
            "data.environments",
            32,
            "32 environments cannot be split evenly among 3 games; make it",
        ),
        ("data.learning_starts", 64, "learning_starts 64 must be more than 7 steps of 96 enviro"),
        ("data.learning_starts", 200_000, "and at most replay 100000"),
        (
            "model.convolutions",
            [{"filters": 8, "kernel": 11, "stride": 1}],
            "convolution 0: kernel 11 does not fit in 10 x 10; make it smaller",
        ),
    ],
)
def test_numbers_that_make_no_sense_are_refused(path, value, message):
    settings = workloads.get(TOY).settings.model_dump()
    section, key = path.split(".")
    settings[section][key] = value
    with pytest.raises(pydantic.ValidationError, match=re.escape(message)):
        PlayScale.model_validate(settings)


@pytest.mark.parametrize("id", IDS)
def test_settings_written_down_are_the_same_when_read(id):
    settings = workloads.get(id).settings
    assert PlayScale.model_validate(settings.model_dump()) == settings


def test_a_window_that_cuts_a_cycle_is_refused():
    settings = workloads.get(f"{TOY}+sequence").settings.model_dump()
    with pytest.raises(pydantic.ValidationError, match="make the product a multiple of 6000"):
        PlayScale.model_validate(settings | {"metric_window": 7})


def test_a_sequence_needs_two_games():
    settings = workloads.get(f"{TOY}+sequence").settings.model_dump()
    settings["data"]["games"] = settings["data"]["games"][:1]
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
            # Two clipped errors of opposite signs leave the head's bias no slope at all.
            gaps[name].append(gap / np.linalg.norm(slopes[name]) if gap else 0.0)
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

    exact = in_float32(workloads.get("rl_nap-standard-v3"))
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


def played_out(workload, name, seed):
    """The mean return of the game's first episodes under action 5, by hand."""
    data = workload.settings.data
    games = data.console._start(name, data.episodes, seed, judged=True)
    returns, going = np.zeros(data.episodes), np.ones(data.episodes, bool)
    for _ in range(data.episode_steps):
        rewards, over = games.step(np.full(data.episodes, 5))
        returns += rewards * going
        going &= ~over
    return returns.mean()


def seeds_of(number, playing):
    """What each game's copies are seeded with."""
    seed = np.random.SeedSequence((20240701, number, *playing)).generate_state(1)[0]
    return np.random.SeedSequence(int(seed)).generate_state(len(playing)).tolist()


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_metric_is_the_mean_over_the_games_of_their_share_of_good_play(split):
    workload = workloads.get(TOY)
    stream = workload.stream(0)
    window = Window(4, {"loss": 1.0, "value": 8.0})
    found = workload.evaluate(still(5), split, stream, window)
    assert found == workload.evaluate(still(5), split, workload.stream(9), window)
    seeds, shares = seeds_of({"validation": 1, "test": 2}[split], [0, 1, 2]), []
    for game, its in zip(workload.settings.data.games, seeds, strict=True):
        mean = found[f"{split}/{game.name}"]
        assert mean == pytest.approx(played_out(workload, game.name, its))
        shares.append((mean - game.random) / (game.good - game.random))
    assert found[f"{split}/return"] == pytest.approx(np.mean(shares))
    assert len({found[f"{split}/{game.name}"] for game in workload.settings.data.games}) > 1
    if split == "validation":
        assert found["weights/norm_ratio"] == pytest.approx(1.5)
        assert found["train/value"] == 2.0
    else:
        assert all(name.startswith("test/") for name in found)


def test_in_a_sequence_the_present_game_alone_is_judged():
    workload = workloads.get(f"{TOY}+sequence")
    stream = workload.stream(0)
    stream._turn = 2
    found = workload.evaluate(still(5), "validation", stream, Window(0, {}))
    mean = played_out(workload, "space_invaders", *seeds_of(1, [2]))
    game = workload.settings.data.games[2]
    assert mean > 0
    assert found["validation/space_invaders"] == pytest.approx(mean)
    assert found["validation/return"] == pytest.approx(
        (mean - game.random) / (game.good - game.random)
    )
    assert "validation/breakout" not in found


def test_an_evaluation_changes_nothing_in_the_stream():
    workload = workloads.get(TOY)
    stream = workload.stream(0)
    before = stream.state()
    workload.evaluate(still(1), "validation", stream, Window(0, {}))
    after = stream.state()
    assert before["games"]["each"][0]["random"] == after["games"]["each"][0]["random"]
    assert before["random"] == after["random"]
