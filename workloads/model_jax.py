"""The base of every family's JAX model."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import jax
import jax.numpy as jnp

Arrays = dict[str, jax.Array]


class JaxModel(abc.ABC):
    """What `workloads/<family>/model_jax.py` defines: pure functions of a flat dict of weights.

    A model whose stream queries the policy also has `act(params, observations)`.
    """

    @abc.abstractmethod
    def loss(self, params: Arrays, batch: Arrays, rng: jax.Array) -> tuple[jax.Array, Arrays]:
        """Mean loss (0-d) of a training batch, and by-products: sums over its examples (0-d).

        A cross-entropy of labels also takes `smoothing` (see `smoothed`).
        """

    @abc.abstractmethod
    def measure(self, params: Arrays, batch: Arrays) -> Arrays:
        """Sums over a training batch's examples, named `Workload.sums`."""

    @abc.abstractmethod
    def predict(self, params: Arrays, batch: Arrays) -> Arrays:
        """One row per example of the batch, which may lack targets."""

    def inspect(self, params: Arrays, batch: Arrays) -> Arrays:
        """What diagnostics use of a training batch; nothing by default.

        Scalars (0-d); `activity...` (units,), the mean absolute activation of each unit of a
        layer; and `features`, the rows that enter the head.
        """
        return {}

    def project(self, params: Arrays) -> Arrays:
        """The weights projected onto the constraint set after an update; unchanged by default."""
        return params


def activity(layers: Sequence[jax.Array]) -> Arrays:
    """Mean absolute activation of each unit, by layer, from rows (examples, units)."""
    sizes = [jnp.abs(rows.astype(jnp.float32)) for rows in layers]
    return {f"activity{at}": rows.mean(0) for at, rows in enumerate(sizes)}


def smoothed(nats: jax.Array, logits: jax.Array, smoothing: float | jax.Array) -> jax.Array:
    """Mean nats with a share of each label spread evenly over all classes (the last axis).

    The share may be traced; a Python zero leaves the computation unchanged.
    """
    if isinstance(smoothing, int | float) and not smoothing:
        return nats
    alike = jax.nn.logsumexp(logits, axis=-1).mean() - jnp.mean(logits)
    return nats + smoothing * (alike - nats)
