"""What every workload promises, at toy scale in every variant, in both frameworks."""

from __future__ import annotations

import json
import typing
from typing import Any

import jax
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import workloads
from cluster.learners.run_torch import Methods
from cluster.parity.sgd_torch import StillPolicy
from scoring.ground.words import Role
from tests.workloads.at_hand import workload_at_hand
from workloads.contract import Array, Batch, Weights, Window, Workload

TOYS = [id for id in workloads.ids() if "-toy-" in id]
FRAMEWORKS = ("torch", "jax")


class Side:
    """A workload's model in one framework, behind numpy."""

    def __init__(self, workload: Workload[Any], framework: str, weights: Weights) -> None:
        self.torch = framework == "torch"
        if self.torch:
            self.model = workload.torch_model()
            tensors = {name: torch.from_numpy(value.copy()) for name, value in weights.items()}
            self.model.load_state_dict(tensors, strict=True)
        else:
            self.model = workload.jax_model()
            self.params = {name: jax.numpy.array(value) for name, value in weights.items()}
            self.value_and_grad = jax.jit(jax.value_and_grad(self.model.loss, has_aux=True))
            self.jit_measure = jax.jit(self.model.measure)
            self.jit_project = jax.jit(self.model.project)

    def gradients(self, batch: Batch) -> tuple[float, dict[str, float], dict[str, Array]]:
        """Loss, by-product sums and gradients."""
        if self.torch:
            self.model.zero_grad()
            generator = torch.Generator().manual_seed(0)
            loss, sums = self.model.loss(_tensors(batch), generator)
            loss.backward()
            loss = loss.detach()
            named = self.model.named_parameters()
            gradients = {name: p.grad.numpy().copy() for name, p in named}
        else:
            (loss, sums), grads = self.value_and_grad(self.params, batch, jax.random.key(0))
            gradients = {name: np.array(value) for name, value in grads.items()}
        return float(loss), {key: float(value) for key, value in sums.items()}, gradients

    def sgd(self, batch: Batch, rate: float) -> None:
        """One step of plain SGD, then the projection."""
        self.move(self.gradients(batch)[2], rate)

    def move(self, gradients: dict[str, Array], rate: float) -> None:
        """Down these gradients, then the projection."""
        if self.torch:
            with torch.no_grad():
                for name, p in self.model.named_parameters():
                    p -= rate * torch.from_numpy(gradients[name])
                self.model.project()
        else:
            moved = {name: p - rate * gradients[name] for name, p in self.params.items()}
            self.params = self.jit_project(moved)

    def measure(self, batch: Batch) -> dict[str, Array]:
        """The model's sums over a batch."""
        if self.torch:
            with torch.no_grad():
                return {k: v.numpy() for k, v in self.model.measure(_tensors(batch)).items()}
        return {k: np.asarray(v) for k, v in self.jit_measure(self.params, batch).items()}

    def weights(self) -> Weights:
        """The present weights."""
        if self.torch:
            return {k: p.detach().numpy().copy() for k, p in self.model.named_parameters()}
        return {name: np.asarray(value) for name, value in self.params.items()}


def both(id: str) -> tuple[Workload[Any], Side, Side]:
    workload = workloads.get(id)
    weights = workload.initial_weights(seed=3)
    return workload, Side(workload, "torch", weights), Side(workload, "jax", weights)


def _joined(arrays: Weights) -> Array:
    return np.concatenate([np.ravel(arrays[name]) for name in sorted(arrays)])


@pytest.mark.parametrize("id", TOYS)
def test_parameters_are_the_torch_modules(id: str) -> None:
    workload = workloads.get(id)
    specs = workload.parameters()
    named = [(name, tuple(p.shape)) for name, p in workload.torch_model().named_parameters()]
    assert named == [(name, spec.shape) for name, spec in specs.items()]
    assert {spec.role for spec in specs.values()} <= set(typing.get_args(Role))
    for name, spec in specs.items():
        if spec.role in ("weight", "head"):
            assert len(spec.shape) == 2, name
        assert spec.role != "tensor" or len(spec.shape) > 2, name
    heads = [name for name, spec in specs.items() if spec.role == "head"]
    # A recommender's scores are products of two vectors: it has no output layer.
    assert len(heads) == int(not id.startswith("recommender") or id.endswith("+ctr")), heads


@pytest.mark.parametrize("id", TOYS)
def test_initial_weights_depend_on_the_seed_alone(id: str) -> None:
    workload = workloads.get(id)
    first, again = workload.initial_weights(1), workloads.get(id).initial_weights(1)
    other = workload.initial_weights(2)
    assert list(first) == list(workload.parameters())
    for name, spec in workload.parameters().items():
        assert first[name].dtype == np.float32
        assert first[name].shape == spec.shape
        np.testing.assert_array_equal(first[name], again[name])
    assert any((first[name] != other[name]).any() for name in first)


@pytest.mark.parametrize("id", TOYS)
def test_loss_and_every_gradient_agree_between_frameworks(id: str) -> None:
    workload, in_torch, in_jax = both(id)
    batch = workload.batch_like(seed=5)
    loss_t, sums_t, gradients_t = in_torch.gradients(batch)
    loss_j, sums_j, gradients_j = in_jax.gradients(batch)
    assert loss_t == pytest.approx(loss_j, rel=1e-5)
    assert sums_t == pytest.approx(sums_j, rel=1e-5)
    assert "loss" in sums_t
    assert list(gradients_t) == list(workload.parameters())
    for name, gradient in gradients_t.items():
        assert np.abs(gradient).max() > 0, name
        assert _distance(gradient, gradients_j[name]) < 1e-5, name


@pytest.mark.parametrize("id", TOYS)
def test_fifty_steps_of_sgd_agree_between_frameworks(id: str) -> None:
    workload, in_torch, in_jax = both(id)
    gaps = []
    for seed in range(50):
        # From the same weights each time: two runs left to themselves part at the first greedy
        # choice or ReLU whose argument is within a rounding error of its corner.
        in_jax.params = in_torch.weights()
        batch = workload.batch_like(seed)
        loss_t, _, gradients_t = in_torch.gradients(batch)
        loss_j, _, gradients_j = in_jax.gradients(batch)
        assert loss_t == pytest.approx(loss_j, rel=1e-5)
        gaps.append(_distance(_joined(gradients_t), _joined(gradients_j)))
        in_torch.move(gradients_t, rate=0.05)
        in_jax.move(gradients_j, rate=0.05)
        for name, value in in_torch.weights().items():
            assert _distance(value, in_jax.weights()[name]) < 1e-4, (seed, name)
    assert max(gaps) < 1e-3, "one corner taken on the other side costs less"
    assert np.median(gaps) < 1e-5
    moved, start = in_torch.weights(), workload.initial_weights(seed=3)
    assert any(_distance(moved[name], start[name]) > 1e-3 for name in start)


@pytest.mark.parametrize("id", TOYS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_batch_of_random_values_is_enough_to_train_on(id: str, framework: str) -> None:
    workload = workloads.get(id)
    side = Side(workload, framework, workload.initial_weights(0))
    batch = workload.batch_like()
    before = side.gradients(batch)[0]
    for _ in range(5):
        side.sgd(batch, rate=0.002)
    assert side.gradients(batch)[0] < before
    sums = side.measure(batch)
    assert float(sums["count"]) > 0
    assert np.isfinite(sums["loss"]).all()


@pytest.mark.parametrize("id", TOYS)
def test_a_torch_model_can_be_asked_at_other_weights(id: str) -> None:
    """As submissions that look ahead do: with plain tensors in the parameters' place."""
    workload = workloads.get(id)
    batch, other = workload.batch_like(), workload.initial_weights(1)
    there = Side(workload, "torch", other)
    here = Side(workload, "torch", workload.initial_weights(0)).model
    call = Methods(here)
    tensors = {name: torch.from_numpy(value) for name, value in other.items()}
    with torch.no_grad():
        sums = call.at(tensors, "measure", _tensors(batch))
        generator = torch.Generator().manual_seed(0)
        loss, _ = call.at(tensors, "loss", _tensors(batch), generator)
    for name, value in there.measure(batch).items():
        np.testing.assert_array_equal(sums[name].numpy(), value, err_msg=name)
    assert float(loss) == there.gradients(batch)[0]


@pytest.mark.network
@pytest.mark.parametrize("id", TOYS)
def test_a_batch_of_the_stream_looks_like_batch_like(id: str) -> None:
    workload = workload_at_hand(id)
    batch, like = _first(workload, 1)[0], workload.batch_like()
    assert {key: (value.shape, value.dtype) for key, value in batch.items()} == {
        key: (value.shape, value.dtype) for key, value in like.items()
    }


@pytest.mark.network
@pytest.mark.parametrize("id", TOYS)
def test_the_order_of_batches_depends_on_the_seed_alone(id: str) -> None:
    batches = _first(workload_at_hand(id), 5)
    for one, other in zip(batches, _first(workload_at_hand(id), 5), strict=True):
        _assert_same(one, other)
    elsewhere = _first(workload_at_hand(id), 5, seed=8)
    assert any(
        (one[key] != other[key]).any()
        for one, other in zip(batches, elsewhere, strict=True)
        for key in one
    )


@pytest.mark.network
@pytest.mark.parametrize("id", TOYS)
@given(cut=st.integers(0, 1200))
@settings(max_examples=6, deadline=None)
def test_a_stream_continues_exactly_from_its_state(id: str, cut: int) -> None:
    workload, more = workload_at_hand(id), 40
    stream, policy = workload.stream(seed=7), _policy(workload)
    for _ in range(cut):
        stream.next(policy)
    kept = json.loads(json.dumps(stream.state(), default=_as_json), object_hook=_from_json)
    stream.events()
    expected = [stream.next(policy) for _ in range(more)]
    expected_events = stream.events()
    resumed = workload.stream(seed=7)
    resumed.load_state(kept)
    resumed.events()
    for batch in expected:
        _assert_same(batch, resumed.next(policy))
    assert resumed.events() == expected_events
    stream.close()
    resumed.close()


@pytest.mark.network
@pytest.mark.parametrize("id", TOYS)
def test_evaluation_agrees_between_frameworks(id: str) -> None:
    workload_at_hand(id)
    workload, in_torch, in_jax = both(id)
    stream = workload.stream(seed=7)
    batch = stream.next(_policy(workload))
    found = []
    for side in (in_torch, in_jax):
        drawn = {name: float(value.sum()) for name, value in side.measure(batch).items()}
        window = Window(1, side.gradients(batch)[1], draws=1, drawn=drawn)
        found.append(workload.evaluate(side.measure, "validation", stream, window))
        tested = workload.evaluate(side.measure, "test", stream, window)
        assert all(name.startswith("test/") for name in tested)
    assert workload.metric.name in found[0]
    assert not any(name.startswith("test/") for name in found[0])
    assert found[0] == pytest.approx(found[1], rel=1e-4)


@pytest.mark.network
@pytest.mark.parametrize("id", [id for id in TOYS if "+" not in id])
def test_fetching_again_does_nothing(id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    workload = workload_at_hand(id)
    workload.fetch()
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    workload.fetch()


def _policy(workload: Workload[Any]) -> StillPolicy:
    return StillPolicy(workload.torch_model(), workload.initial_weights(3))


def _first(workload: Workload[Any], count: int, seed: int = 7) -> list[Batch]:
    stream = workload.stream(seed)
    policy = _policy(workload)
    batches = [stream.next(policy) for _ in range(count)]
    stream.close()
    return batches


def _tensors(batch: Batch) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(value.copy()) for key, value in batch.items()}


def _distance(one: Array, other: Array) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def _assert_same(one: Batch, other: Batch) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert value.dtype == other[key].dtype
        np.testing.assert_array_equal(value, other[key])


def _as_json(value: object) -> dict[str, Any]:
    """Numpy arrays alone may stand beside JSON values in a stream's state."""
    assert isinstance(value, np.ndarray), f"neither JSON nor an array: {value!r}"
    return {"array": value.tolist(), "dtype": str(value.dtype)}


def _from_json(found: dict[str, Any]) -> Any:
    return np.array(found["array"], found["dtype"]) if found.keys() == {"array", "dtype"} else found
