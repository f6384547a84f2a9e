"""Plain SGD on a JAX model, without the harness: one side of the parity comparison."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from workloads.contract import Array, Batch, JaxModel, Weights


def sgd_run(
    model: JaxModel, weights: Weights, batches: list[Batch], rate: float
) -> tuple[Array, Weights, Array]:
    """Loss and gradients on the first batch, and the loss there after one step on each batch."""
    key = jax.random.key(0)

    @jax.jit
    def step(params: Any, batch: Any) -> Any:
        (loss, _), gradients = jax.value_and_grad(model.loss, has_aux=True)(params, batch, key)
        moved = jax.tree.map(lambda p, g: p - rate * g, params, gradients)
        return loss, gradients, model.project(moved)

    params: Any = weights
    first: tuple[Array, Weights] | None = None
    for batch in [*batches, batches[0]]:
        loss, gradients, params = step(params, batch)
        if first is None:
            first = np.asarray(loss), jax.device_get(gradients)
    assert first is not None
    return *first, np.asarray(loss)
