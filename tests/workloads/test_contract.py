"""What every workload promises, at toy scale in every variant, in both frameworks."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import workloads
from cluster.checks.parity.sgd_jax import sgd_step
from cluster.checks.parity.sgd_torch import StillPolicy, judged, sgd_steps
from cluster.checks.workload_check import check_workload
from cluster.learners.run_torch import Methods
from tests.workloads.at_hand import workload_at_hand
from workloads.contract import Array, Batch, Weights, Workload

TOYS = [id for id in workloads.ids() if "-toy-" in id]
RATE = 0.05


@pytest.mark.network
@pytest.mark.parametrize(
    "id", [pytest.param(id, marks=pytest.mark.slow) if "+" in id else id for id in TOYS]
)
def test_a_workload_passes_its_own_check(id: str) -> None:
    findings = list(check_workload(workload_at_hand(id)))
    assert all(finding.ok for finding in findings), [f for f in findings if not f.ok]
    assert len(findings) == 8


@pytest.mark.parametrize("id", TOYS)
def test_every_role_is_there_once_it_should(id: str) -> None:
    specs = workloads.get(id).parameters()
    heads = [name for name, spec in specs.items() if spec.role == "head"]
    # A recommender's scores are products of two vectors: it has no output layer.
    assert len(heads) == int(not id.startswith("recommender") or id.endswith("+ctr")), heads
    for name, spec in specs.items():
        assert spec.role != "tensor" or len(spec.shape) > 2, name


def _joined(arrays: Weights) -> Array:
    return np.concatenate([np.ravel(arrays[name]) for name in sorted(arrays)])


@pytest.mark.parametrize("id", TOYS)
def test_every_step_of_sgd_agrees_between_frameworks(id: str) -> None:
    workload = workloads.get(id)
    # A variant differs from its base in little, and the base makes fifty.
    batches = [workload.batch_like(seed) for seed in range(10 if "+" in id else 50)]
    start = workload.initial_weights(seed=3)
    in_jax = sgd_step(workload.jax_model(), RATE)
    gaps, weights = [], start
    for ours in sgd_steps(workload.torch_model(), start, batches, RATE):
        # From the same weights each time: two runs left to themselves part at the first greedy
        # choice or ReLU whose argument is within a rounding error of its corner.
        theirs = in_jax(weights, batches[len(gaps)])
        assert float(ours.loss) == pytest.approx(float(theirs.loss), rel=1e-5)
        gaps.append(_distance(_joined(ours.gradients), _joined(theirs.gradients)))
        weights = ours.after
        for name, value in weights.items():
            assert _distance(value, theirs.after[name]) < 1e-4, (len(gaps), name)
    assert max(gaps) < 1e-3, "one corner taken on the other side costs less"
    assert np.median(gaps) < 1e-5
    assert any(np.abs(weights[name] - start[name]).max() > 1e-3 for name in start)


@pytest.mark.parametrize("id", TOYS)
def test_a_batch_of_random_values_is_enough_to_train_on(id: str) -> None:
    workload = workloads.get(id)
    batches = [workload.batch_like()] * 6
    steps = list(sgd_steps(workload.torch_model(), workload.initial_weights(0), batches, 0.002))
    assert steps[-1].loss < steps[0].loss


@pytest.mark.parametrize("id", TOYS)
def test_a_torch_model_can_be_asked_at_other_weights(id: str) -> None:
    """As submissions that look ahead do: with plain tensors in the parameters' place."""
    workload = workloads.get(id)
    batch, other = workload.batch_like(), workload.initial_weights(1)
    there = judged(workload.torch_model(), other)
    call = Methods(workload.torch_model())
    tensors = {name: torch.from_numpy(value) for name, value in other.items()}
    with torch.no_grad():
        sums = call.at(tensors, "measure", _tensors(batch))
    for name, value in there.measure(batch).items():
        np.testing.assert_array_equal(sums[name].numpy(), value, err_msg=name)


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
@settings(max_examples=3)
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
