"""The homeostatic submission: its rule, step by step, and its two frameworks side by side."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import submissions
import workloads
from submissions.load import execute, unload
from workloads.homeostatic import data
from workloads.images import PIXELS, Labelled

LR, FRACTION = 0.1, 0.2
CHANGE = LR * FRACTION


class Rule:
    """A `Problem` of one weight whose measures are scripted by the weight's value."""

    def __init__(self, predicted, correct, loss=lambda weight: 0.0):
        self.predicted = predicted
        self.correct = correct
        self.loss_at = loss

    def value_and_grad(self, params, batch):
        return params["w"].sum(), {"w": 0 * params["w"] + 1.0}

    def measure(self, params, batch):
        wrapped = isinstance(params["w"], torch.Tensor)
        array = torch.tensor if wrapped else jnp.asarray
        # The weight starts at 1 and its gradient is 1, so that it tells the simulated rate.
        rate = 1 - float(params["w"][0])
        counts = np.zeros(10, np.int32)
        counts[self.predicted] = 1
        measured = {"loss": array(self.loss_at(rate)), "correct": array(self.correct(rate))}
        return measured | {"predicted": array(counts)} if self.predicted is not None else measured


def make(name, **hyperparameters):
    source = submissions.find(name)
    module = execute(source)
    try:
        if source.framework == "torch":
            return module.submission([], **hyperparameters)
        return module.submission(**hyperparameters)
    finally:
        unload(source)


def one_step(name, rule, label, **hyperparameters):
    """(rate, weight) after one update from weight 1."""
    made = make(name, **({"lr": LR, "fraction": FRACTION} | hyperparameters))
    if name == "homeostat":
        params = {"w": torch.ones(1)}
        batch = {"x": torch.zeros(3)}
        batch |= {"label": torch.tensor([0, 0, label])} if label is not None else {}
        with torch.no_grad():
            state = made.update(params, made.init(params), batch, rule)
    else:
        params = {"w": jnp.ones(1)}
        batch = {"x": jnp.zeros(3)}
        batch |= {"label": jnp.array([0, 0, label])} if label is not None else {}
        params, state = made.update(params, made.init(params), batch, rule)
    return float(state["rate"]), float(params["w"][0])


BOTH = pytest.mark.parametrize("name", ["homeostat", "homeostat_jax"])


def more_is_better(rate):
    return int(rate > LR + CHANGE / 2)


def less_is_better(rate):
    return int(rate < LR - CHANGE / 2)


@BOTH
@pytest.mark.parametrize(
    ("predicted", "label", "correct", "expected"),
    [
        (5, 9, more_is_better, LR + CHANGE),
        (0, 4, less_is_better, LR - CHANGE),
        (5, 9, less_is_better, LR),  # the simulated change would not help
        (0, 4, more_is_better, LR),
        (5, 4, more_is_better, LR - CHANGE),  # misperceived: moved by the true class
        (4, 5, less_is_better, LR + CHANGE),
        (5, 9, lambda rate: 3, LR),  # equally good is not good enough
    ],
)
def test_the_rate_moves_only_where_the_look_ahead_is_better(
    name, predicted, label, correct, expected
):
    rate, weight = one_step(name, Rule(predicted, correct), label)
    assert rate == pytest.approx(expected)
    assert weight == pytest.approx(1 - expected)


@BOTH
def test_the_rate_has_a_floor(name):
    rate, _ = one_step(name, Rule(0, lambda rate: int(rate < 1e-4)), 4, fraction=2.0)
    assert rate == pytest.approx(1e-8)


@BOTH
def test_without_classes_the_rate_of_the_lower_loss_stays(name):
    up = Rule(None, lambda rate: 0, loss=lambda rate: -rate)
    down = Rule(None, lambda rate: 0, loss=lambda rate: rate)
    assert one_step(name, up, None)[0] == pytest.approx(LR + CHANGE)
    assert one_step(name, down, None)[0] == pytest.approx(LR - CHANGE)
    assert one_step(name, up, 3)[0] == pytest.approx(LR + CHANGE)  # labels, but no predictions


@BOTH
def test_the_look_ahead_sees_the_last_examples_of_the_batch(name):
    seen = []

    class Watching(Rule):
        def measure(self, params, batch):
            seen.append(np.asarray(batch["label"]).tolist())
            return super().measure(params, batch)

    one_step(name, Watching(5, more_is_better), 7, memory=2)
    assert seen == [[7], [0, 7], [0, 7]]


class TorchProblem:
    def __init__(self, model):
        self.model = model
        self.methods = Methods(model)

    def call(self, params, method, *args):
        prefixed = {f"model.{name}": value for name, value in params.items()}
        return torch.func.functional_call(self.methods, prefixed, (method, *args))

    def value_and_grad(self, params, batch):
        with torch.enable_grad():
            loss, _ = self.call(params, "loss", batch, None)
            gradients = torch.autograd.grad(loss, list(params.values()))
        return loss, dict(zip(params, gradients, strict=True))

    def measure(self, params, batch):
        return self.call(params, "measure", batch)


class Methods(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, method, *args):
        return getattr(self.model, method)(*args)


class JaxProblem:
    def __init__(self, model):
        self.model = model

    def value_and_grad(self, params, batch):
        return jax.value_and_grad(lambda p: self.model.loss(p, batch, None)[0])(params)

    def measure(self, params, batch):
        return self.model.measure(params, batch)


@pytest.fixture(scope="module")
def batches():
    """Fifty batches of overlapping blobs, one a class, whose labels shift."""
    random = np.random.default_rng(0)
    classes = np.tile(np.arange(10, dtype=np.int32), 40)
    means = random.integers(0, 56, (10, PIXELS))
    pixels = means[classes] + random.integers(0, 200, (len(classes), PIXELS))
    images = Labelled(pixels.astype(np.uint8), classes)
    source = data.ShiftStream(images, 20, [25], 25, seed=0)
    return [source.next(lambda seen: seen) for _ in range(50)]


def torch_run(workload, batches, **hyperparameters):
    model = workload.torch_model()
    weights = workload.initial_weights(0)
    with torch.no_grad():
        params = dict(model.named_parameters())
        for name, parameter in params.items():
            parameter.copy_(torch.from_numpy(weights[name]))
        made, problem = make("homeostat", **hyperparameters), TorchProblem(model)
        state, rates = made.init(params), []
        for batch in batches:
            tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
            state = made.update(params, state, tensors, problem)
            rates.append(state["rate"].item())
    return {name: p.detach().numpy() for name, p in params.items()}, rates, state


def jax_run(workload, batches, **hyperparameters):
    made = make("homeostat_jax", **hyperparameters)
    problem = JaxProblem(workload.jax_model())
    params = {name: jnp.asarray(w) for name, w in workload.initial_weights(0).items()}
    update = jax.jit(lambda p, s, b: made.update(p, s, b, problem))
    state, rates = made.init(params), []
    for batch in batches:
        params, state = update(params, state, batch)
        rates.append(float(state["rate"]))
    return {name: np.asarray(p) for name, p in params.items()}, rates, state


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("per_unit", [False, True])
def test_both_frameworks_take_the_same_way(batches, per_unit, labelled, monkeypatch):
    workload = workloads.get("homeostatic-toy-v3")
    chosen = {"lr": 0.03, "per_unit": per_unit}
    if not labelled:
        for problem in (TorchProblem, JaxProblem):
            whole = problem.measure
            monkeypatch.setattr(
                problem, "measure", lambda *args, whole=whole: {"loss": whole(*args)["loss"]}
            )
    ours, our_rates, our_state = torch_run(workload, batches, **chosen)
    theirs, their_rates, their_state = jax_run(workload, batches, **chosen)
    np.testing.assert_allclose(our_rates, their_rates, rtol=1e-5)
    assert len(set(our_rates)) > 2
    start = workload.initial_weights(0)
    for name, weight in ours.items():
        moved = np.linalg.norm(weight - start[name])
        assert np.linalg.norm(weight - theirs[name]) <= 1e-3 * moved, name
    if per_unit:
        gains = np.concatenate([g.numpy().ravel() for g in our_state["gains"].values()])
        others = np.concatenate([np.ravel(g) for g in their_state["gains"].values()])
        assert np.mean(np.isclose(gains, others, rtol=1e-4)) > 0.99
        assert gains.min() > 0
        for gain in our_state["gains"].values():
            assert gain.mean().item() == pytest.approx(1)
        assert gains.std() > 0.01
        rows = our_state["gains"]["layers.0.weight"]
        assert rows.shape == (start["layers.0.weight"].shape[0], 1)


def test_it_learns(batches):
    workload = workloads.get("homeostatic-toy-v3")
    problem = TorchProblem(workload.torch_model())
    last = {name: torch.from_numpy(array) for name, array in batches[-1].items()}
    start = {name: torch.from_numpy(w) for name, w in workload.initial_weights(0).items()}
    for per_unit in (False, True):
        weights, _, _ = torch_run(workload, batches, lr=0.03, per_unit=per_unit)
        trained = {name: torch.from_numpy(weight) for name, weight in weights.items()}
        assert problem.measure(trained, last)["loss"] < 0.6 * problem.measure(start, last)["loss"]
