"""The multilayer perceptron in JAX: the torch module's parameter names and shapes."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from workloads.model_jax import Arrays, JaxModel, activity, smoothed


@dataclasses.dataclass(frozen=True)
class HomeostaticJax(JaxModel):
    """Linear layers with ELU between them, and softmax cross-entropy on top."""

    layers: int
    dtype: str

    def logits(
        self, params: Arrays, image: jax.Array, seen: list[jax.Array] | None = None
    ) -> jax.Array:
        """Logits float32 (B, classes) of images float32 (B, pixels).

        What each hidden layer gives goes into `seen`.
        """
        x = image.astype(self.dtype)
        for index in range(self.layers):
            x = jax.nn.elu(x) if index else x
            if index and seen is not None:
                seen.append(x)
            weight = params[f"layers.{index}.weight"].astype(self.dtype)
            x = x @ weight.T + params[f"layers.{index}.bias"].astype(self.dtype)
        return x.astype(jnp.float32)

    def loss(
        self,
        params: Arrays,
        batch: Arrays,
        rng: jax.Array,
        smoothing: float | jax.Array = 0.0,
    ) -> tuple[jax.Array, Arrays]:
        """Mean cross-entropy in nats; `correct` counts the predictions that were right."""
        logits = self.logits(params, batch["image"])
        losses, correct = _score(logits, batch["label"])
        loss = losses.mean()
        return smoothed(loss, logits, smoothing), {
            "loss": loss,
            "correct": correct,
            "count": jnp.int32(len(losses)),
        }

    def measure(self, params: Arrays, batch: Arrays) -> Arrays:
        """Sums over the examples; `predicted` counts how often each class was predicted."""
        logits = self.logits(params, batch["image"])
        losses, correct = _score(logits, batch["label"])
        guess = jax.nn.one_hot(logits.argmax(1), logits.shape[1], dtype=jnp.int32)
        return {
            "loss": losses.sum(),
            "correct": correct,
            "count": jnp.int32(len(losses)),
            "predicted": guess.sum(0),
        }

    def predict(self, params: Arrays, batch: Arrays) -> Arrays:
        """`logits` float32 (B, classes)."""
        return {"logits": self.logits(params, batch["image"])}

    def inspect(self, params: Arrays, batch: Arrays) -> Arrays:
        """The activity of hidden units, and the last of them as features."""
        seen: list[jax.Array] = []
        self.logits(params, batch["image"], seen)
        return {**activity(seen), "features": seen[-1]}


def _score(logits: jax.Array, label: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Each example's cross-entropy, and how many predictions were right."""
    log_probability = jax.nn.log_softmax(logits)
    losses = -jnp.take_along_axis(log_probability, label[:, None], axis=1)[:, 0]
    return losses, (logits.argmax(1) == label).sum()
