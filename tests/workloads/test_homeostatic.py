"""The stream of shifting labels, its metric, and its two models; the data have a file beside."""

from __future__ import annotations

import json
import re

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workloads
from tests.workloads.answers import answering
from workloads.contract import Window
from workloads.homeostatic import data
from workloads.homeostatic.settings import DataSettings, HomeostaticScale
from workloads.homeostatic.workload import PREQUENTIAL, Homeostatic
from workloads.images import PIXELS, Images, Labelled

TOY = "homeostatic-toy-v3"
IDS = [id for id in workloads.ids() if id.startswith("homeostatic-")]
SCALES = [id for id in IDS if "+" not in id]


def noise(count=64, seed=0):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, PIXELS), dtype=np.uint8)
    return Labelled(images, np.arange(count, dtype=np.int32) % data.CLASSES)


IMAGES = noise()


def stream(seed=0, batch_size=8, periods=(3,), season=3, images=IMAGES):
    return data.ShiftStream(images, batch_size, periods, season, seed)


def draw(source, count):
    return [source.next(lambda seen: seen) for _ in range(count)]


def same(one, other):
    return all(np.array_equal(one[key], other[key]) for key in ("image", "label"))


def small_float32(id):
    """The workload of that id in float32, with a tenth of the hidden widths."""
    workload = workloads.get(id)
    settings = workload.settings
    hidden = [max(4, width // 10) for width in settings.model.hidden]
    changed = settings.model_copy(
        update={
            "batch_size": min(settings.batch_size, 50),
            "model": settings.model.model_copy(update={"hidden": hidden}),
            "compute": settings.compute.model_copy(update={"dtype": "float32", "compile": False}),
        }
    )
    return Homeostatic(workload.id, changed, workload.metric, None)


# The stream


@given(st.integers(0, 40), st.integers(0, 12), st.sampled_from([(3,), (4, 2)]))
def test_a_stream_continues_where_its_state_was_taken(before, after, periods):
    first, season = stream(5, periods=periods, season=4 if len(periods) > 1 else 3), 4
    draw(first, before)
    state = json.loads(json.dumps(first.state()))
    second = stream(99, periods=periods, season=season if len(periods) > 1 else 3)
    draw(second, 7)
    second.load_state(state)
    for one, other in zip(draw(first, after), draw(second, after), strict=True):
        assert same(one, other)
    assert first.events() == second.events()
    assert first.state() == second.state()


def test_the_seed_alone_decides_order_and_shifts():
    first, again, other = stream(1), stream(1), stream(2)
    one, two, three = draw(first, 30), draw(again, 30), draw(other, 30)
    assert all(same(a, b) for a, b in zip(one, two, strict=True))
    assert not any(same(a, b) for a, b in zip(one, three, strict=True))
    assert first.events() == again.events()
    assert not np.array_equal(first.permutation, other.permutation)


def test_every_epoch_shows_every_image_once_in_another_order():
    images = noise(32)
    source = stream(images=images, periods=(1000,), season=1000)
    epochs = [
        np.concatenate([batch["image"] for batch in draw(source, 4)]).sum(axis=1) for _ in range(2)
    ]
    expected = np.sort((images.images / np.float32(255)).sum(axis=1, dtype=np.float32))
    for epoch in epochs:
        np.testing.assert_allclose(np.sort(epoch), expected, rtol=1e-5)
    assert not np.array_equal(*epochs)


def shift_steps(source, count):
    found = []
    for step in range(count):
        draw(source, 1)
        found += [step] * len(source.events())
    return found


def test_shifts_come_evenly_and_never_before_the_first_batch():
    assert shift_steps(stream(periods=(3,), season=3), 13) == [3, 6, 9, 12]


def test_a_season_without_shifts():
    assert shift_steps(stream(periods=(0,), season=50), 200) == []
    assert shift_steps(stream(periods=(0, 2), season=4), 13) == [4, 6, 12]


def test_seasons_take_turns():
    found = shift_steps(stream(periods=(4, 2), season=4), 17)
    assert found == [4, 6, 8, 12, 14, 16]


def test_shifts_add_up_and_label_the_batches():
    source, mapping = stream(seed=3), np.arange(data.CLASSES)
    seen = 0
    for _ in range(40):
        before = source.permutation
        batch = draw(source, 1)[0]
        for event in source.events():
            seen += 1
            a, b = event.details["classes"]
            assert a != b
            mapping[[a, b]] = mapping[[b, a]]
        np.testing.assert_array_equal(source.permutation, mapping)
        assert (source.permutation != before).sum() in (0, 2)
        originals = {
            tuple(image): c for image, c in zip(IMAGES.images, IMAGES.classes, strict=True)
        }
        pixels = np.round(batch["image"] * 255).astype(np.uint8)
        expected = [mapping[originals[tuple(image)]] for image in pixels]
        np.testing.assert_array_equal(batch["label"], expected)
    assert seen == 13
    assert (mapping != np.arange(data.CLASSES)).any()


def test_what_a_batch_is_made_of():
    source = stream()
    batch, other = draw(source, 2)
    assert batch["image"].shape == (8, 784)
    assert batch["image"].dtype == np.float32
    assert batch["label"].dtype == np.int32
    assert batch["image"].min() >= 0
    assert 0.9 < batch["image"].max() <= 1
    assert not np.shares_memory(batch["image"], other["image"])
    kept = batch["label"].copy()
    draw(source, 20)
    np.testing.assert_array_equal(batch["label"], kept)


# The numbers


@pytest.mark.parametrize("id", IDS)
def test_the_judged_window_is_whole_shift_periods_and_years(id):
    settings = workloads.get(id).settings
    for period in filter(None, settings.data.periods):
        assert settings.evaluation_period % period == 0
    judged = settings.evaluation_period * settings.metric_window
    assert judged % settings.data.year == 0
    assert settings.step_hint % settings.evaluation_period == 0


def test_variants_shift_faster_slower_and_in_turns():
    periods = {id.partition("+")[2]: workloads.get(id).settings.data.periods for id in IDS[:5]}
    assert periods["still"] == [0]
    assert periods["fast"][0] < periods[""][0] < periods["slow"][0]
    assert len(set(periods["seasons"])) == 2


def settings_with(**changes):
    settings = workloads.get(TOY).settings.model_dump()
    for path, value in changes.items():
        section, _, key = path.rpartition("__")
        (settings[section] if section else settings)[key] = value
    return HomeostaticScale.model_validate(settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"evaluation_period": 125},
            "evaluation_period 125 is not a whole number of shift periods; "
            "make it a multiple of 50",
        ),
        (
            {"data__rates": [1, 2], "data__season": 600},
            "evaluation_period 200 times metric_window 4 is not a whole number of years; "
            "make the product a multiple of 1200",
        ),
        (
            {"data__rates": [3]},
            "shift_period 50 over rate 3 is not a whole number of steps; choose another rate",
        ),
        (
            {"data__rates": [1, 2], "data__season": 120},
            "season 120 is not a whole number of shift periods; make it a multiple of 50",
        ),
    ],
)
def test_a_window_that_cuts_a_period_is_refused(changes, message):
    with pytest.raises(pydantic.ValidationError, match=re.escape(message)):
        settings_with(**changes)


def test_a_window_of_three_years_is_whole():
    changes = {"data__rates": [1, 2], "data__season": 100, "metric_window": 3}
    assert settings_with(**changes).data.periods == [50, 25]


def test_a_rate_of_thousands_has_no_period():
    base = workloads.get(TOY).settings.data.model_dump()
    with pytest.raises(pydantic.ValidationError, match="not a whole number of steps"):
        DataSettings.model_validate(base | {"rates": [1000]})


# The metric


class FakeModel:
    def __init__(self):
        self.batches = []

    def measure(self, batch):
        self.batches.append(batch)
        return {"loss": 0.0, "correct": len(batch["label"]) // 4, "count": len(batch["label"])}


@pytest.fixture
def held_out(monkeypatch):
    images = Images(noise(64), noise(700, seed=1))
    monkeypatch.setattr("workloads.images.load", lambda source: images)
    return images.held_out


def test_the_metric_is_what_training_predicted_before_it_learned(held_out):
    workload, model = workloads.get(TOY), FakeModel()
    source = workload.stream(0)
    draw(source, 101)
    window = Window(101, {"loss": 50.0}, drawn={"correct": 606.0, "count": 2020.0})
    metrics = workload.evaluate(answering(model.measure), "validation", source, window)
    assert metrics == {PREQUENTIAL: 0.3, "validation/accuracy": 0.25}
    cut = workload.settings.data.validation
    np.testing.assert_array_equal(
        model.batches[0]["label"], source.permutation[held_out.classes[:cut]]
    )
    assert (source.permutation != np.arange(10)).any()
    assert workload.metric.name == PREQUENTIAL
    assert workload.metric.goal == "max"


@pytest.mark.parametrize("share", [0.0, 0.1, 0.24, 0.26, 0.9, 1.0])
def test_who_knows_nothing_of_unseen_images_is_no_better_on_the_stream(share):
    """However many of the stream's labels are told right, by a lookup or a look ahead."""
    workload = workloads.get(TOY)
    chance = {"loss": 0.0, "correct": 50.0, "count": 500.0}
    window = Window(200, {}, drawn={"correct": 4000 * share, "count": 4000.0})
    source = workload.stream(0)
    metrics = workload.evaluate(answering(lambda batch: chance), "validation", source, window)
    assert metrics[PREQUENTIAL] == pytest.approx(min(share, 0.1 + workload.settings.data.guard))
    assert workload.race is not None
    assert not workload.metric.target(workload.race.target).met_by(metrics[PREQUENTIAL])


def test_the_test_set_is_what_validation_never_saw(held_out):
    workload, model = workloads.get(TOY), FakeModel()
    metrics = workload.evaluate(answering(model.measure), "test", workload.stream(0), Window(0, {}))
    assert metrics == {"test/accuracy": 0.25}
    assert len(model.batches[0]["label"]) == 700 - workload.settings.data.validation


def test_before_the_first_step_there_is_no_prequential_accuracy(held_out):
    workload = workloads.get(TOY)
    window = Window(0, {"loss": 0.0})
    metrics = workload.evaluate(
        answering(FakeModel().measure), "validation", workload.stream(0), window
    )
    assert np.isnan(metrics[PREQUENTIAL])


# The models


@pytest.mark.parametrize("id", SCALES)
def test_initial_weights_have_the_stated_shapes_and_spread(id):
    workload = small_float32(id)
    weights, specs = workload.initial_weights(4), workload.parameters()
    model = workload.torch_model()
    assert {name: tuple(p.shape) for name, p in model.named_parameters()} == {
        name: spec.shape for name, spec in specs.items()
    }
    assert list(weights) == list(specs)
    assert all(w.dtype == np.float32 for w in weights.values())
    assert not weights["layers.0.bias"].any()
    assert weights["layers.0.weight"].std() == pytest.approx(np.sqrt(2 / 784), rel=0.05)
    again = workload.initial_weights(4)
    assert all(np.array_equal(weights[name], again[name]) for name in weights)
    assert not np.array_equal(
        weights["layers.0.weight"], workload.initial_weights(5)["layers.0.weight"]
    )


def both(workload, batch):
    """(loss, gradients, by-products, measured) in torch and in JAX."""
    import jax
    import torch

    weights = workload.initial_weights(0)
    model = workload.torch_model()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(weights[name]))
    tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
    loss, sums = model.loss(tensors, torch.Generator())
    loss.backward()
    gradients = {name: p.grad.numpy() for name, p in model.named_parameters()}
    with torch.no_grad():
        measured = {name: value.numpy() for name, value in model.measure(tensors).items()}
    ours = (loss.item(), gradients, {k: v.item() for k, v in sums.items()}, measured)

    net = workload.jax_model()
    taken = jax.value_and_grad(net.loss, has_aux=True)(weights, batch, jax.random.key(0))
    (value, counted), slopes = taken
    theirs = (
        float(value),
        {name: np.asarray(g) for name, g in slopes.items()},
        {name: float(v) for name, v in counted.items()},
        {name: np.asarray(v) for name, v in net.measure(weights, batch).items()},
    )
    return ours, theirs


@pytest.mark.parametrize("id", SCALES)
def test_both_back_ends_compute_the_same(id):
    workload = small_float32(id)
    batch = workload.batch_like(1)
    ours, theirs = both(workload, batch)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    for name, gradient in ours[1].items():
        apart = np.linalg.norm(gradient - theirs[1][name])
        assert apart <= 1e-5 * np.linalg.norm(gradient), name
    assert ours[2] == pytest.approx(theirs[2], rel=1e-5)
    assert ours[3].keys() == theirs[3].keys() == {"loss", "correct", "count", "predicted"}
    for name, value in ours[3].items():
        np.testing.assert_allclose(value, theirs[3][name], rtol=1e-5)


def test_by_products_and_measure_count_by_hand():
    workload = small_float32(TOY)
    batch = workload.batch_like(2)
    weights = workload.initial_weights(0)
    x = batch["image"].astype(np.float64)
    for index in range(4):
        x = np.where(x > 0, x, np.expm1(np.minimum(x, 0))) if index else x
        x = x @ weights[f"layers.{index}.weight"].T + weights[f"layers.{index}.bias"]
    losses = np.log(np.exp(x).sum(1)) - x[np.arange(len(x)), batch["label"]]
    guess = x.argmax(1)
    batch["label"][0] = guess[0]
    (loss, _, sums, measured), _ = both(workload, batch)
    losses = np.log(np.exp(x).sum(1)) - x[np.arange(len(x)), batch["label"]]
    assert loss == pytest.approx(losses.mean(), rel=1e-5)
    correct = (guess == batch["label"]).sum()
    assert correct >= 1
    assert sums == pytest.approx({"loss": losses.mean(), "correct": correct, "count": 20}, rel=1e-5)
    assert measured["loss"] == pytest.approx(losses.sum(), rel=1e-5)
    np.testing.assert_array_equal(measured["predicted"], np.bincount(guess, minlength=10))


def test_bfloat16_computes_near_float32_over_float32_weights():
    exact = small_float32("homeostatic-standard-v3")
    compute = exact.settings.compute.model_copy(update={"dtype": "bfloat16"})
    settings = exact.settings.model_copy(update={"compute": compute})
    rough = Homeostatic(exact.id, settings, exact.metric, None)
    batch = exact.batch_like(1)
    for one, other in zip(both(rough, batch), both(exact, batch), strict=True):
        assert one[0] != other[0]
        assert one[0] == pytest.approx(other[0], rel=0.02)
        assert all(gradient.dtype == np.float32 for gradient in one[1].values())
