"""The base of every family's JAX model."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import jax
import jax.numpy as jnp

Arrays = dict[str, jax.Array]


class JaxModel(abc.ABC):
    """What `workloads/<family>/model_jax.py` defines: pure functions of a flat dict of weights.

    Where a stream asks the learner, it also has `act(params, observations)`.
    """

    @abc.abstractmethod
    def loss(self, params: Arrays, batch: Arrays, rng: jax.Array) -> tuple[jax.Array, Arrays]:
        """Mean loss (0-d) of a training batch and by-products, sums over its examples (0-d).

        One that is a cross-entropy of labels takes `smoothing` besides (`smoothed`).
        """

    @abc.abstractmethod
    def measure(self, params: Arrays, batch: Arrays) -> Arrays:
        """Sums over a training batch's examples, named `Workload.sums`."""

    @abc.abstractmethod
    def predict(self, params: Arrays, batch: Arrays) -> Arrays:
        """Rows, one an example of the batch, which need not hold targets."""

    def inspect(self, params: Arrays, batch: Arrays) -> Arrays:
        """What diagnostics look at in a training batch; here nothing.

        Numbers (0-d), `activity...` (units,), the mean size of each unit of a layer, and
        `features`, rows of what goes into the head.
        """
        return {}

    def project(self, params: Arrays) -> Arrays:
        """The weights brought back where they belong after an update; here unchanged."""
        return params


def activity(layers: Sequence[jax.Array]) -> Arrays:
    """The mean size of each unit, by layer: of rows (examples, units)."""
    sizes = [jnp.abs(rows.astype(jnp.float32)) for rows in layers]
    return {f"activity{at}": rows.mean(0) for at, rows in enumerate(sizes)}


def smoothed(nats: jax.Array, logits: jax.Array, smoothing: float | jax.Array) -> jax.Array:
    """The mean nats if a share of each label were given to all classes (the last axis) alike.

    The share may be traced; a plain zero leaves the very same computation.
    """
    if isinstance(smoothing, int | float) and not smoothing:
        return nats
    alike = jax.nn.logsumexp(logits, axis=-1).mean() - jnp.mean(logits)
    return nats + smoothing * (alike - nats)
