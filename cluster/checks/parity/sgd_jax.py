"""Plain SGD on a JAX model, without the harness: one side of the parity comparison."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from cluster.checks.parity.step import Step
from submissions.contract import Arrays
from workloads.contract import Batch, Judged, Weights
from workloads.model_jax import JaxModel


def sgd_step(model: JaxModel, rate: float) -> Callable[[Weights, Batch], Step]:
    """A function that makes one step from given weights on a batch."""
    key = jax.random.key(0)

    @jax.jit
    def step(params: Arrays, batch: Arrays) -> tuple[jax.Array, Arrays, Arrays]:
        (loss, _), gradients = jax.value_and_grad(model.loss, has_aux=True)(params, batch, key)
        moved = jax.tree.map(lambda p, g: p - rate * g, params, gradients)
        return loss, gradients, model.project(moved)

    def on(weights: Weights, batch: Batch) -> Step:
        loss, gradients, after = jax.device_get(step(weights, batch))
        return Step(weights, np.asarray(loss), gradients, after)

    return on


def judged(model: JaxModel, weights: Weights) -> Judged:
    """The model at these weights, as an evaluation sees it."""
    measure, predict = jax.jit(model.measure), jax.jit(model.predict)
    return Judged(
        lambda batch: jax.device_get(measure(weights, batch)),
        lambda batch: jax.device_get(predict(weights, batch)),
        lambda: dict(weights),
    )
