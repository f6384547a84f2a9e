"""Parity of a workload's two back ends: loss, gradients, and training, torch against JAX.

Both start from the same weights and see the same batches, so they may differ only in the order
of floating-point sums.
"""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
from typing import Any

import numpy as np

import workloads
from cluster.process import set_environment
from scoring.ground.words import Resources
from workloads.contract import Batch, Weights, Workload
from workloads.errors import WorkloadError

GRADIENT_TOLERANCE = 1e-5
TRAINED_TOLERANCE = 1e-3
SGD_STEPS = 50
SGD_RATE = 1e-2


@dataclasses.dataclass(frozen=True)
class Parity:
    """The relative differences of one workload; a gradient's is by its norm, the worst counts.

    `trained` is that of the loss after the steps of plain SGD; `real_data` tells whether real
    batches were used, or random ones of the same shapes because the data cannot be had here.
    """

    workload: str
    loss: float
    gradient: float
    worst: str
    trained: float
    real_data: bool

    @property
    def ok(self) -> bool:
        """Whether loss and gradients agree to 1e-5, and the trained loss to 1e-3."""
        close = self.loss <= GRADIENT_TOLERANCE and self.gradient <= GRADIENT_TOLERANCE
        return close and self.trained <= TRAINED_TOLERANCE


def compare(workload_id: str, *, rows: int | None = None, steps: int = SGD_STEPS) -> Parity:
    """Compare the back ends of a workload on this machine's CPU, in a process of its own.

    Scales that run in bfloat16 are compared in float32: parity is about the mathematics. `rows`
    takes only so many examples of each batch, and `steps` so many of plain SGD, where a large
    scale would take too long.

    Raises:
        WorkloadError: no such workload.
    """
    workload = workloads.get(workload_id)
    real_data = workload.at_hand()
    try:
        if real_data:
            workload.fetch()
    except WorkloadError:
        real_data = False
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_compare, (workload_id, real_data, rows, steps))


def _compare(workload_id: str, real_data: bool, rows: int | None, steps: int) -> Parity:
    set_environment(Resources())
    workload = in_float32(workloads.get(workload_id))
    weights = workload.initial_weights(seed=0)
    batches = [
        {name: array[:rows] for name, array in batch.items()}
        for batch in _batches(workload, real_data, steps)
    ]
    ours = _torch_run(workload, weights, batches)
    theirs = _jax_run(workload, weights, batches)
    gaps = {name: _relative(ours.gradients[name], theirs.gradients[name]) for name in weights}
    worst = max(gaps, key=lambda name: (math.isnan(gaps[name]), gaps[name]))
    return Parity(
        workload=workload_id,
        loss=_relative(ours.loss, theirs.loss),
        gradient=gaps[worst],
        worst=worst,
        trained=_relative(ours.trained, theirs.trained),
        real_data=real_data,
    )


def in_float32(workload: Workload[Any]) -> Workload[Any]:
    """The same workload computing in float32 and uncompiled."""
    compute = workload.settings.compute.model_copy(update={"dtype": "float32", "compile": False})
    settings = workload.settings.model_copy(update={"compute": compute})
    return type(workload)(workload.id, settings, workload.metric, workload.race)


@dataclasses.dataclass(frozen=True)
class _Side:
    loss: Any
    gradients: dict[str, Any]
    trained: Any


def _batches(workload: Workload[Any], real_data: bool, steps: int) -> list[Batch]:
    if not real_data:
        return [workload.batch_like(seed) for seed in range(steps)]
    from cluster.parity.sgd_torch import StillPolicy

    policy = StillPolicy(workload.torch_model(), workload.initial_weights(seed=0))
    stream = workload.stream(seed=0)
    try:
        return [stream.next(policy) for _ in range(steps)]
    finally:
        stream.close()


def _torch_run(workload: Workload[Any], weights: Weights, batches: list[Batch]) -> _Side:
    from cluster.parity.sgd_torch import sgd_run

    return _Side(*sgd_run(workload.torch_model(), weights, batches, SGD_RATE))


def _jax_run(workload: Workload[Any], weights: Weights, batches: list[Batch]) -> _Side:
    from cluster.parity.sgd_jax import sgd_run

    return _Side(*sgd_run(workload.jax_model(), weights, batches, SGD_RATE))


def _relative(one: Any, other: Any) -> float:
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    scale = max(float(np.linalg.norm(one)), float(np.linalg.norm(other)))
    return float(np.linalg.norm(one - other)) / scale if scale else 0.0
