"""The network in JAX: the torch module's parameter names and shapes."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from workloads.model_jax import Arrays, JaxModel


class DigitsJax(JaxModel):
    """Pixels, a hidden layer with ReLU, logits."""

    def logits(self, params: Arrays, image: jax.Array) -> jax.Array:
        """Logits float32 (B, classes)."""
        hidden = jax.nn.relu(image @ params["hidden.weight"].T + params["hidden.bias"])
        return hidden @ params["head.weight"].T + params["head.bias"]

    def loss(self, params: Arrays, batch: Arrays, rng: jax.Array) -> tuple[jax.Array, Arrays]:
        """Mean cross-entropy in nats."""
        value = _nats(self.logits(params, batch["image"]), batch["label"]).mean()
        return value, {"loss": value}

    def measure(self, params: Arrays, batch: Arrays) -> Arrays:
        """Sums of nats, correct predictions and examples."""
        logits, label = self.logits(params, batch["image"]), batch["label"]
        return {
            "loss": _nats(logits, label).sum(),
            "correct": (logits.argmax(1) == label).sum(),
            "count": jnp.int32(len(label)),
        }

    def predict(self, params: Arrays, batch: Arrays) -> Arrays:
        """`logits` float32 (B, classes)."""
        return {"logits": self.logits(params, batch["image"])}


def _nats(logits: jax.Array, label: jax.Array) -> jax.Array:
    chosen = jnp.take_along_axis(logits, label[:, None], axis=1)[:, 0]
    return jax.nn.logsumexp(logits, axis=1) - chosen
