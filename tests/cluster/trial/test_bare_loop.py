"""A whole trial of a published optimizer is a bare loop of ten lines, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import workloads
from cluster import checkpoint
from cluster.learners.entry import Seeds
from cluster.trial.loop import run_trial
from scoring.ground.words import Budget
from scoring.records import Outcome

from ..conftest import WORKLOAD, Make

pytestmark = pytest.mark.network
STEPS = 400
"""Two evaluations and two checkpoints, which must not leave a trace."""
TORCH = """
import torch

def submission(params):
    return torch.optim.AdamW(params, lr=3e-3, weight_decay=0.1)
"""
JAX = """
import optax

def submission():
    return optax.adamw(3e-3, weight_decay=0.1)
"""


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")


def trained(make: Make, name: str, text: str) -> tuple[dict[str, Any], Seeds]:
    """The weights at the end of a trial, and what it drew from."""
    spec = make(name, text=text, budget=Budget(STEPS, 1000.0))
    *_, outcome = run_trial(spec)
    assert isinstance(outcome, Outcome)
    assert (outcome.end, outcome.steps) == ("budget", STEPS), outcome.reason
    weights: dict[str, Any] = checkpoint.load(spec.checkpoint)["learner"]["weights"]
    return weights, Seeds.of(spec.seed)


def test_adamw_of_torch(make: Make) -> None:
    import torch

    weights, seeds = trained(make, "torch_adamw", TORCH)
    workload = workloads.get(WORKLOAD)
    start, stream = workload.initial_weights(seeds.weights), workload.stream(seeds.stream)
    generator = torch.Generator().manual_seed(seeds.loss)

    model = workload.torch_model()
    model.load_state_dict({name: torch.from_numpy(value) for name, value in start.items()})
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    for _ in range(STEPS):
        batch = {name: torch.from_numpy(value) for name, value in drawn(stream).items()}
        loss, _ = model.loss(batch, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    bare = {name: value.detach().numpy() for name, value in model.named_parameters()}
    assert apart(weights, bare) == []
    assert apart(weights, start) == list(start), "all of them moved"


def test_adamw_of_optax(make: Make) -> None:
    import jax
    import optax

    weights, seeds = trained(make, "optax_adamw", JAX)
    workload = workloads.get(WORKLOAD)
    start, stream = workload.initial_weights(seeds.weights), workload.stream(seeds.stream)
    loss, key = workload.jax_model().loss, jax.random.key(seeds.loss)

    optimizer = optax.adamw(3e-3, weight_decay=0.1)
    params: Any = {name: jax.numpy.array(value) for name, value in start.items()}
    state = optimizer.init(params)

    @jax.jit
    def step(params: Any, state: Any, batch: Any, rng: Any) -> Any:
        gradients, _ = jax.grad(loss, has_aux=True)(params, batch, rng)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    for count in range(STEPS):
        params, state = step(params, state, drawn(stream), jax.random.fold_in(key, count))

    assert apart(weights, jax.device_get(params)) == []
    assert apart(weights, start) == list(start), "all of them moved"


def drawn(stream: Any) -> Any:
    """The next batch of a stream that asks no policy."""
    return stream.next(None)


def apart(one: dict[str, Any], other: Any) -> list[str]:
    """The names of weights that differ in any bit."""
    return [name for name in other if not np.array_equal(one[name], other[name])]
