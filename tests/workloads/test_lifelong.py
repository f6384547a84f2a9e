"""The stream of tasks, its metric, and its two models; the images have a file of their own."""

from __future__ import annotations

import json
import re

import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workloads
from tests.workloads.answers import answering
from workloads.contract import Window
from workloads.images import FORMS, Form, Images, Labelled
from workloads.lifelong.data import TaskStream
from workloads.lifelong.settings import DataSettings, LifelongScale
from workloads.lifelong.tasks import make_tasks, turned
from workloads.lifelong.workload import RETAINED, Lifelong

TOY = "lifelong-toy-v3"
IDS = [id for id in workloads.ids() if id.startswith("lifelong-")]
KINDS = ("permuted", "rotated", "split")


def noise(count, seed=0):
    random = np.random.default_rng(seed)
    images = random.integers(1, 256, (count, 784), dtype=np.uint8)
    return Labelled(images, np.arange(count, dtype=np.int32) % 10)


IMAGES = Images(noise(200), noise(80, seed=1))


def config(**changes):
    stated = {
        "source": "mnist-5k",
        "kind": "permuted",
        "tasks": 5,
        "mastery": 0.9,
        "check_period": 3,
        "check": 10,
        "validation": 10,
        "turn": 12,
        "visit": 6,
        "memory": 20,
        "replay": 3,
        "experience_period": 1,
    }
    return DataSettings.model_validate(stated | changes)


def stream(seed=0, batch_size=8, **changes):
    return TaskStream(IMAGES, config(**changes), batch_size, seed)


class Learner:
    """A policy that knows every task but those named, and can be asked what it was asked about."""

    def __init__(self, source, *unknown):
        self.source = source
        self.unknown = unknown
        self.asked = []
        self.labels = {}
        for task in source._tasks:
            for images in (source._images.train, source._images.held_out):
                shown = (task.show(images.images) * np.float32(1 / 255)).astype(np.float32)
                rows = map(bytes, shown)
                self.labels |= dict(zip(rows, images.classes.tolist(), strict=True))

    def __call__(self, observations):
        self.asked.append(len(observations))
        if self.source.task in self.unknown:
            return np.full(len(observations), -1)
        return np.array([self.labels.get(bytes(row), -1) for row in observations])


def draw(source, policy, count):
    return [source.next(policy) for _ in range(count)]


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def names(events):
    """What the line of tasks was told of: name, task and steps."""
    told = [event for event in events if event.name not in ("before", "learning")]
    return [(event.name, event.details["task"], event.details["at"]) for event in told]


# The tasks


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_shown_depends_on_the_seed_alone(kind):
    data = config(kind=kind)
    first, again, other = (make_tasks(data, IMAGES, seed) for seed in (4, 4, 5))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.pixels, two.pixels)
        np.testing.assert_array_equal(one.train, two.train)
    moved = [
        not (np.array_equal(a.pixels, b.pixels) and np.array_equal(a.train, b.train))
        for a, b in zip(first, other, strict=True)
    ]
    assert any(moved) == (kind != "rotated")


def test_every_permuted_task_shows_all_pixels_in_an_order_of_its_own():
    made = make_tasks(config(), IMAGES, 0)
    for task in made:
        np.testing.assert_array_equal(np.sort(task.pixels), np.arange(784))
        shown = task.show(IMAGES.train.images[:5])
        np.testing.assert_array_equal(
            np.sort(shown, axis=1), np.sort(IMAGES.train.images[:5], axis=1)
        )
    assert len({tuple(task.pixels) for task in made}) == len(made)


def test_split_tasks_share_no_class_and_leave_none_out():
    made = make_tasks(config(kind="split"), IMAGES, 3)
    classes = [set(IMAGES.train.classes[task.train].tolist()) for task in made]
    assert [len(one) for one in classes] == [2] * 5
    assert set.union(*classes) == set(range(10))
    for task, own in zip(made, classes, strict=True):
        for rows in (task.check, task.validation, task.test):
            assert set(IMAGES.held_out.classes[rows].tolist()) <= own


@pytest.mark.parametrize("kind", KINDS)
def test_held_out_images_have_one_use_each(kind):
    for task in make_tasks(config(kind=kind), IMAGES, 0):
        rows = np.concatenate([task.check, task.validation, task.test])
        assert len(set(rows.tolist())) == len(rows) == (16 if kind == "split" else 80)
        assert len(task.check) == (8 if kind == "split" else 10)
        assert len(task.validation) == (4 if kind == "split" else 10)


def test_a_quarter_turn_is_numpys():
    form = FORMS["cifar-100"]
    image = np.random.default_rng(0).integers(0, 256, (3, 32, 32))
    found = image.reshape(-1)[turned(form, np.pi / 2)].reshape(3, 32, 32)
    np.testing.assert_array_equal(found, np.rot90(image, axes=(2, 1)))


def test_a_turned_image_is_black_where_the_original_ends():
    pixels = turned(Form(1, 28, 10), np.pi / 4).reshape(28, 28)
    assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1]] == -1).all()
    assert (pixels[9:19, 9:19] >= 0).all()
    assert turned(Form(1, 28, 10), 0.0).tolist() == list(range(784))
    task = make_tasks(config(kind="rotated", tasks=4), IMAGES, 0)[1]
    shown = task.show(IMAGES.train.images[:2])
    assert (shown[:, task.pixels < 0] == 0).all()
    assert (shown[:, task.pixels >= 0] > 0).all()


# The stream


def test_a_learner_that_knows_everything_goes_from_task_to_task():
    source = stream()
    line = list(source._waiting)
    draw(source, Learner(source), 17)
    assert names(source.events()) == [
        ("task", line[0], 0),
        *(
            (name, line[place + (name == "task")], 3 * place + 3)
            for place in range(4)
            for name in ("check", "mastered", "task")
        ),
        *((name, line[4], 15) for name in ("check", "mastered")),
    ]
    assert source.learnt == [0, 1, 2, 3, 4]
    assert source.task == line[4]
    assert source.events() == []


def test_the_order_of_the_tasks_is_the_seeds():
    lines = [stream(seed, kind="rotated")._waiting for seed in (1, 1, 2, 3, 4)]
    assert lines[0] == lines[1]
    assert len({tuple(line) for line in lines}) > 1
    assert all(sorted(line) == [0, 1, 2, 3, 4] for line in lines)


def test_what_is_not_mastered_in_its_turn_comes_again_at_the_end():
    source = stream(tasks=2)
    first, second = source._waiting
    policy = Learner(source, first)
    draw(source, policy, 20)
    assert [event for event in names(source.events()) if event[0] != "check"] == [
        ("task", first, 0),
        ("task", second, 12),
        ("mastered", second, 15),
        ("task", first, 15),
    ]
    assert source.learnt == [second]
    draw(source, policy, 40)
    assert source.task == first, "the last of the line stays"
    policy.unknown = ()
    draw(source, policy, 6)
    assert source.learnt == [0, 1]
    assert [event[0] for event in names(source.events())].count("mastered") == 1


def test_dispersed_turns_are_equal_and_tasks_come_round_again():
    source = stream(tasks=3, dispersed=True)
    line = list(source._waiting)
    never = Learner(source, 0, 1, 2)
    seen = []
    for _ in range(40):
        source.next(never)
        seen.append((source.task, len(source.learnt)))
    assert [task for task, _ in seen] == [line[(step // 6) % 3] for step in range(40)]
    assert [learnt for _, learnt in seen] == [min(step // 6, 3) for step in range(40)]
    told = names(source.events())
    assert {name for name, _, _ in told} == {"task"}
    assert [at for _, _, at in told] == [0, 6, 12, 18, 24, 30, 36]


def test_without_a_memory_nothing_is_replayed():
    source = stream(tasks=2, memory=0, replay=0)
    line = list(source._waiting)
    batches = draw(source, Learner(source), 6)
    assert [set(batch["task"].tolist()) for batch in batches] == [{line[0]}] * 3 + [{line[1]}] * 3


def test_new_images_are_asked_about_before_they_are_learnt():
    source = stream(experience_period=3, check_period=6)
    policy = Learner(source)
    draw(source, policy, 13)
    learning = [event for event in source.events() if event.name == "learning"]
    assert [event.details["at"] for event in learning] == [6, 12]
    assert [event.details["accuracy"] for event in learning] == [[1.0, 1.0]] * 2
    # 5 tasks of 10 images, 10 at a time; then 5 new images of a batch of 8, or a check's 10.
    assert policy.asked == [10] * 5 + [5, 5, 10, 5, 5, 10, 5]


def test_what_is_known_before_the_first_task_is_told(loaded):
    workload = workloads.get(TOY)
    source = workload.stream(0)
    image, policy = source.validation()["image"], Learner(source)
    policy.labels = {bytes(row): 0 for row in image}
    source.next(policy)
    before = source.events()[0]
    assert (before.name, before.details["at"], before.details["images"]) == ("before", 0, 200)
    zeros = [
        float((source.validation()["label"][source.validation()["task"] == index] == 0).mean())
        for index in range(10)
    ]
    assert before.details["accuracy"] == pytest.approx(zeros)


def test_the_policy_is_warmed_up_on_every_shape_that_it_is_asked_about(loaded):
    for id in (one for one in IDS if "-toy-" in one):
        workload = workloads.get(id)
        source, asked = workload.stream(0), set()

        def policy(observations, asked=asked):
            asked.add((observations.shape, observations.dtype))
            return np.zeros(len(observations))

        draw(source, policy, workload.settings.data.check_period + 2)
        assert asked == {(one.shape, one.dtype) for one in workload.observations_like()}


def test_before_there_is_a_memory_a_batch_is_all_of_the_first_task():
    source = stream(tasks=2)
    line = list(source._waiting)
    never = Learner(source, 0, 1)
    first = draw(source, never, 12)
    assert all((batch["task"] == line[0]).all() for batch in first)
    later = draw(source, never, 12)
    assert all(batch["task"].tolist() == [line[1]] * 5 + [line[0]] * 3 for batch in later)


def test_only_the_tasks_share_of_memory_is_replayed():
    source = stream(tasks=2, memory=8)
    never = Learner(source, 0, 1)
    draw(source, never, 12)
    replayed = {bytes(row) for batch in draw(source, never, 12) for row in batch["image"][5:]}
    assert 3 <= len(replayed) <= 4
    task = make_tasks(config(tasks=2), IMAGES, 0)[source._remembered[0]]
    shown = (task.show(IMAGES.train.images) * np.float32(1 / 255)).astype(np.float32)
    assert replayed <= {bytes(row) for row in shown}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_those_of_the_images(kind):
    source = stream(kind=kind)
    made, policy = make_tasks(config(kind=kind), IMAGES, 0), Learner(source)
    label_of = {
        (index, bytes(row)): label
        for index, task in enumerate(made)
        for row, label in zip(task.show(IMAGES.train.images), IMAGES.train.classes, strict=True)
    }
    for batch in draw(source, policy, 20):
        pixels = np.round(batch["image"] * 255).astype(np.uint8)
        rows = zip(batch["task"], pixels, strict=True)
        assert [label_of[index, bytes(row)] for index, row in rows] == batch["label"].tolist()
        assert batch["image"].dtype == np.float32
        assert batch["label"].dtype == batch["task"].dtype == np.int32


@given(
    before=st.integers(0, 60),
    after=st.integers(0, 30),
    kind=st.sampled_from(KINDS),
    unknown=st.sets(st.integers(0, 4)),
    told=st.booleans(),
    dispersed=st.booleans(),
)
@settings(max_examples=40)
def test_a_stream_continues_where_its_state_was_taken(
    before, after, kind, unknown, told, dispersed
):
    first = stream(5, kind=kind, dispersed=dispersed)
    draw(first, Learner(first, *unknown), before)
    if told:
        first.events()
    state = json.loads(json.dumps(first.state()))
    second = stream(99, kind=kind, dispersed=dispersed)
    draw(second, Learner(second), 7)
    assert second.validation()
    second.load_state(state)
    ours = draw(first, Learner(first, *unknown), after)
    theirs = draw(second, Learner(second, *unknown), after)
    assert all(same(one, other) for one, other in zip(ours, theirs, strict=True))
    assert first.events() == second.events()
    assert first.state() == second.state()
    assert same(first.validation(), second.validation())


# The numbers


def settings_with(**changes):
    stated = workloads.get(TOY).settings.model_dump()
    for path, value in changes.items():
        section, _, key = path.rpartition("__")
        (stated[section] if section else stated)[key] = value
    return LifelongScale.model_validate(stated)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data__kind": "split", "data__tasks": 3},
            "10 classes cannot be split evenly among 3 tasks; choose a divisor of 10",
        ),
        ({"data__turn": 610}, "turn 610 is not a whole number of check periods"),
        ({"data__visit": 50}, "visit 50 is not a whole number of check periods"),
        (
            {"data__experience_period": 7},
            "is not a whole number of experience periods; make",
        ),
        ({"data__memory": 0}, "give both, or 0 for both"),
        ({"data__memory": 9}, "memory 9 is below one image per task for 10 tasks"),
        ({"data__replay": 64}, "replay 64 leaves no room for the current task in a batch of 64"),
        (
            {"evaluation_period": 50},
            "is not a whole number of evaluation periods; make it",
        ),
        ({"model__stages": [16, 16, 16]}, "3 stages cannot halve a side of 28 pixels each time"),
        (
            {"model__stages": [24]},
            "a stage of 24 channels is not a whole number of groups",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(pydantic.ValidationError, match=re.escape(message)):
        settings_with(**changes)


@pytest.mark.parametrize("id", IDS)
def test_every_scale_in_every_variant_is_whole(id):
    stated = workloads.get(id).settings
    assert stated.data.check_period % stated.evaluation_period == 0
    assert stated.step_hint % stated.evaluation_period == 0


# The metric


class FakeModel:
    """Right about the first `right` images of each task."""

    def __init__(self, right):
        self.right = right
        self.calls = 0

    def measure(self, batch):
        self.calls += 1
        counts = np.bincount(batch["task"], minlength=10)
        return {"task_correct": np.minimum(counts, self.right), "task_count": counts}


@pytest.fixture
def loaded(monkeypatch):
    found = Images(noise(200), noise(1000, seed=1))
    monkeypatch.setattr("workloads.images.load", lambda source: found)


def test_a_task_counts_once_it_is_mastered(loaded):
    workload, model = workloads.get(TOY), FakeModel(right=180)
    source = workload.stream(0)
    window = Window(10, {"loss": 3.0, "correct": 320.0, "count": 640.0})
    before = workload.evaluate(answering(model.measure), "validation", source, window)
    assert before[RETAINED] == 0
    assert before["validation/accuracy"] == pytest.approx(0.9)
    assert before["train/accuracy"] == 0.5
    assert [before[f"task{index:02}/accuracy"] for index in range(10)] == [0.9] * 10
    draw(source, Learner(source), 5 * workload.settings.data.check_period + 1)
    after = workload.evaluate(answering(model.measure), "validation", source, window)
    assert after[RETAINED] == pytest.approx(0.45)
    assert after["stream/learnt"] == 5
    assert model.calls == 2, "all tasks in one call"
    assert workload.metric.name == RETAINED


def test_no_metric_is_ever_missing(loaded):
    workload = workloads.get(TOY)
    source = workload.stream(0)
    found = workload.evaluate(answering(FakeModel(0).measure), "validation", source, Window(0, {}))
    assert all(np.isfinite(value) for value in found.values())
    tested = workload.evaluate(answering(FakeModel(200).measure), "test", source, Window(0, {}))
    assert tested == {"test/accuracy": pytest.approx(0.5)}


# The models


def small(id, dtype="float32"):
    """The workload of that id uncompiled, and narrow."""
    workload = workloads.get(id)
    stated = workload.settings
    model = stated.model
    narrow = model.model_copy(
        update={"hidden": [12] * len(model.hidden), "stages": [16] * len(model.stages)}
    )
    changed = stated.model_copy(
        update={
            "batch_size": 20,
            "model": narrow,
            "compute": stated.compute.model_copy(update={"dtype": dtype, "compile": False}),
        }
    )
    return Lifelong(workload.id, changed, workload.metric, None)


def both(workload, batch):
    """(loss, gradients, by-products, measured, chosen) in torch and in JAX."""
    import jax
    import torch

    weights = workload.initial_weights(0)
    model = workload.torch_model()
    model.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
    tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
    loss, sums = model.loss(tensors, torch.Generator())
    loss.backward()
    with torch.no_grad():
        ours = (
            loss.item(),
            {name: p.grad.numpy() for name, p in model.named_parameters()},
            {name: value.item() for name, value in sums.items()},
            {name: value.numpy() for name, value in model.measure(tensors).items()},
            model.act(tensors["image"]).numpy(),
        )
    net = workload.jax_model()
    value_and_grad = jax.jit(jax.value_and_grad(net.loss, has_aux=True))
    (value, counted), slopes = value_and_grad(weights, batch, jax.random.key(0))
    theirs = (
        float(value),
        {name: np.asarray(g) for name, g in slopes.items()},
        {name: float(v) for name, v in counted.items()},
        {name: np.asarray(v) for name, v in jax.jit(net.measure)(weights, batch).items()},
        np.asarray(jax.jit(net.act)(weights, batch["image"])),
    )
    return ours, theirs


@pytest.mark.parametrize("id", [TOY, "lifelong-standard-v3"])
def test_both_back_ends_compute_the_same(id):
    workload = small(id)
    ours, theirs = both(workload, workload.batch_like(1))
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    for name, gradient in ours[1].items():
        assert np.abs(gradient).max() > 0, name
        apart = np.linalg.norm(gradient - theirs[1][name])
        assert apart <= 1e-5 * np.linalg.norm(gradient), name
    assert ours[2] == pytest.approx(theirs[2], rel=1e-5)
    assert ours[3].keys() == theirs[3].keys()
    for name, value in ours[3].items():
        np.testing.assert_allclose(value, theirs[3][name], rtol=1e-5)
    assert ours[4].dtype == theirs[4].dtype == np.int32
    np.testing.assert_array_equal(ours[4], theirs[4])


def test_measure_counts_by_hand():
    workload = small(TOY)
    batch, weights = workload.batch_like(2), workload.initial_weights(0)
    x = batch["image"].astype(np.float64)
    for index in range(3):
        x = np.maximum(x, 0) if index else x
        x = x @ weights[f"layers.{index}.weight"].T + weights[f"layers.{index}.bias"]
    batch["label"][:7] = x.argmax(1)[:7]
    right = x.argmax(1) == batch["label"]
    losses = np.log(np.exp(x).sum(1)) - x[np.arange(len(x)), batch["label"]]
    (loss, _, sums, measured, chosen), _ = both(workload, batch)
    assert loss == pytest.approx(losses.mean(), rel=1e-5)
    assert sums == pytest.approx(
        {"loss": losses.mean(), "correct": right.sum(), "count": 20}, rel=1e-5
    )
    assert measured["loss"] == pytest.approx(losses.sum(), rel=1e-5)
    np.testing.assert_array_equal(chosen, x.argmax(1))
    np.testing.assert_array_equal(measured["task_count"], np.bincount(batch["task"], minlength=10))
    np.testing.assert_array_equal(
        measured["task_correct"], np.bincount(batch["task"][right], minlength=10)
    )


def test_the_initial_loss_is_that_of_a_guess():
    workload = workloads.get(TOY)
    ours, _ = both(workload, workload.batch_like(0))
    assert ours[0] == pytest.approx(np.log(10), abs=0.7)


@pytest.mark.parametrize("id", [TOY, "lifelong-standard-v3"])
def test_bfloat16_computes_near_float32_over_float32_weights(id):
    batch = small(id).batch_like(1)
    rough, exact = both(small(id, "bfloat16"), batch), both(small(id), batch)
    for one, other in zip(rough, exact, strict=True):
        assert one[0] != other[0]
        assert one[0] == pytest.approx(other[0], rel=0.03)
        assert all(gradient.dtype == np.float32 for gradient in one[1].values())
