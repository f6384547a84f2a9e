"""The base of every family's JAX model."""

from __future__ import annotations

import abc

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

    def project(self, params: Arrays) -> Arrays:
        """The weights brought back where they belong after an update; here unchanged."""
        return params


def smoothed(nats: jax.Array, logits: jax.Array, smoothing: float | jax.Array) -> jax.Array:
    """The mean nats if a share of each label were given to all classes (the last axis) alike.

    The share may be traced; a plain zero leaves the very same computation.
    """
    if isinstance(smoothing, int | float) and not smoothing:
        return nats
    alike = jax.nn.logsumexp(logits, axis=-1).mean() - jnp.mean(logits)
    return nats + smoothing * (alike - nats)
