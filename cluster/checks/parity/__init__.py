"""Parity of a workload's two back ends: loss, gradients, and training, torch against JAX.

Plain SGD trains in torch, and JAX repeats each of its steps from the very weights that torch had
there, on the same batch: so they may differ only in the order of floating-point sums. Two runs
left to themselves would part sooner or later, at the first greedy choice or ReLU whose argument
lies within a rounding error of its corner, at another step on every class of CPU.
"""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np

import workloads
from cluster.checks.parity.step import Step
from cluster.process import set_environment
from scoring.ground.words import Resources
from workloads.contract import Array, Batch, Weights, Workload
from workloads.errors import WorkloadError

GRADIENT_TOLERANCE = 1e-5
TRAINED_TOLERANCE = 1e-3
SGD_STEPS = 50
SGD_RATE = 1e-2


@dataclasses.dataclass(frozen=True)
class Parity:
    """The relative differences of one workload.

    Attributes:
        loss, gradient: at the initial weights; a gradient's by its norm, of which the worst counts.
        worst: the parameter of the worst gradient.
        trained: the worst over the steps of training, of the loss, of the whole gradient by its
            norm, and of the weights after the step. A single corner on the other side of which a
            framework falls moves it by about 1e-3 of a gradient.
        real_data: real batches were used, not random ones of the same shapes because the data
            cannot be had here.
    """

    workload: str
    loss: float
    gradient: float
    worst: str
    trained: float
    real_data: bool

    @property
    def ok(self) -> bool:
        """Whether loss and gradients agree to 1e-5, and every step of training to 1e-3."""
        close = self.loss <= GRADIENT_TOLERANCE and self.gradient <= GRADIENT_TOLERANCE
        return close and self.trained <= TRAINED_TOLERANCE


def compare(workload_id: str, *, rows: int | None = None, steps: int = SGD_STEPS) -> Parity:
    """Compare the back ends of a workload on this machine's CPU, in a process of its own.

    Scales that run in bfloat16 are compared in float32: parity is about the mathematics. `rows`
    takes only so many examples of each batch, and `steps` so many of plain SGD, where a large
    scale would take too long.

    Raises:
        WorkloadError: no such workload, or it ends the process.
    """
    workload = workloads.get(workload_id)
    real_data = workload.at_hand()
    try:
        if real_data:
            workload.fetch()
    except WorkloadError:
        real_data = False
    return apart(_compare, workload_id, real_data, rows, steps)


def apart(function: Callable[..., Parity], id: str, *arguments: object) -> Parity:
    """What the function says in a process of its own.

    Raises:
        WorkloadError: that process died.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as own:
        try:
            return own.submit(function, id, *arguments).result()
        except BrokenProcessPool:
            raise WorkloadError(
                f"{id}: the process comparing its back ends died; if memory is short, "
                "compare fewer rows (--rows), else check native code that its models call"
            ) from None


def _compare(workload_id: str, real_data: bool, rows: int | None, steps: int) -> Parity:
    set_environment(Resources())
    workload = in_float32(workloads.get(workload_id))
    weights = workload.initial_weights(seed=0)
    batches = [
        {name: array[:rows] for name, array in batch.items()}
        for batch in _batches(workload, real_data, steps)
    ]
    steps_taken = [Pair(ours, theirs) for ours, theirs in _both_sides(workload, weights, batches)]
    first = steps_taken[0]
    gaps = first.gradients()
    worst = max(gaps, key=lambda name: (math.isnan(gaps[name]), gaps[name]))
    return Parity(
        workload=workload_id,
        loss=first.loss(),
        gradient=gaps[worst],
        worst=worst,
        trained=max((pair.whole() for pair in steps_taken), key=lambda gap: (math.isnan(gap), gap)),
        real_data=real_data,
    )


@dataclasses.dataclass(frozen=True)
class Pair:
    """The same step in both frameworks."""

    torch: Step
    jax: Step

    def loss(self) -> float:
        """The losses' relative difference."""
        return _relative(self.torch.loss, self.jax.loss)

    def gradients(self) -> dict[str, float]:
        """Each gradient's relative difference, by its norm."""
        return {
            name: _relative(gradient, self.jax.gradients[name])
            for name, gradient in self.torch.gradients.items()
        }

    def whole(self) -> float:
        """The largest difference: of the loss, the whole gradient, or the weights afterwards."""
        gaps = (
            self.loss(),
            _relative(_joined(self.torch.gradients), _joined(self.jax.gradients)),
            _relative(_joined(self.torch.after), _joined(self.jax.after)),
        )
        return max(gaps, key=lambda gap: (math.isnan(gap), gap))


def in_float32(workload: Workload) -> Workload:
    """The same workload computing in float32 and uncompiled."""
    compute = workload.settings.compute.model_copy(update={"dtype": "float32", "compile": False})
    settings = workload.settings.model_copy(update={"compute": compute})
    return type(workload)(workload.id, settings, workload.metric, workload.race)


def _batches(workload: Workload, real_data: bool, steps: int) -> list[Batch]:
    if not real_data:
        return [workload.batch_like(seed) for seed in range(steps)]
    from cluster.checks.parity.sgd_torch import StillPolicy

    policy = StillPolicy(workload.torch_model(), workload.initial_weights(seed=0))
    stream = workload.stream(seed=0)
    try:
        return [stream.next(policy) for _ in range(steps)]
    finally:
        stream.close()


def _both_sides(
    workload: Workload, weights: Weights, batches: list[Batch]
) -> Iterator[tuple[Step, Step]]:
    from cluster.checks.parity.sgd_jax import sgd_step
    from cluster.checks.parity.sgd_torch import sgd_steps

    in_jax = sgd_step(workload.jax_model(), SGD_RATE)
    in_torch = sgd_steps(workload.torch_model(), weights, batches, SGD_RATE)
    for batch, step in zip(batches, in_torch, strict=True):
        yield step, in_jax(step.before, batch)


def _joined(arrays: Weights) -> Array:
    return np.concatenate([np.ravel(arrays[name]).astype(np.float64) for name in sorted(arrays)])


def _relative(one: Array, other: Array) -> float:
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    scale = max(float(np.linalg.norm(one)), float(np.linalg.norm(other)))
    return float(np.linalg.norm(one - other)) / scale if scale else 0.0
