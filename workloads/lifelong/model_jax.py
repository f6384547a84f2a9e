"""The network in JAX: the torch module's parameter names and shapes."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from workloads.lifelong.settings import GROUP, LifelongScale
from workloads.model_jax import Arrays, JaxModel, activity, smoothed

EPSILON = 1e-5


@dataclasses.dataclass(frozen=True)
class LifelongJax(JaxModel):
    """One head for the classes of all tasks: the learner is not told which task an image is of."""

    settings: LifelongScale

    def logits(
        self, params: Arrays, image: jax.Array, seen: list[jax.Array] | None = None
    ) -> jax.Array:
        """Logits float32 (B, classes) of images float32 (B, pixels).

        What goes into each linear layer, images apart, goes into `seen`.
        """
        settings, dtype = self.settings, self.settings.compute.dtype
        x = image.astype(dtype)
        if settings.stages:
            form = settings.data.form
            x = x.reshape(-1, form.channels, form.side, form.side)
            for index in range(len(settings.stages)):
                x = _stage(params, f"stages.{index}.", x)
            x = x.mean((2, 3))
        for index in range(len(settings.widths) - 1):
            x = jax.nn.relu(x) if index else x
            if seen is not None and (index or settings.stages):
                seen.append(x)
            weight = params[f"layers.{index}.weight"].astype(dtype)
            x = x @ weight.T + params[f"layers.{index}.bias"].astype(dtype)
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
        loss, count = losses.mean(), jnp.int32(len(losses))
        sums = {"loss": loss, "correct": correct.sum(), "count": count}
        return smoothed(loss, logits, smoothing), sums

    def measure(self, params: Arrays, batch: Arrays) -> Arrays:
        """Sums over the examples; `task_correct` and `task_count` (tasks,) are those by task."""
        losses, correct = _score(self.logits(params, batch["image"]), batch["label"])
        of_task = jax.nn.one_hot(batch["task"], self.settings.data.tasks, dtype=jnp.int32)
        return {
            "loss": losses.sum(),
            "correct": correct.sum(),
            "count": jnp.int32(len(losses)),
            "task_correct": (of_task * correct[:, None]).sum(0),
            "task_count": of_task.sum(0),
        }

    def predict(self, params: Arrays, batch: Arrays) -> Arrays:
        """`logits` float32 (B, classes)."""
        return {"logits": self.logits(params, batch["image"])}

    def inspect(self, params: Arrays, batch: Arrays) -> Arrays:
        """The activity of hidden units, and the last of them as features."""
        seen: list[jax.Array] = []
        self.logits(params, batch["image"], seen)
        return {**activity(seen), "features": seen[-1]}

    def act(self, params: Arrays, observations: jax.Array) -> jax.Array:
        """The most probable class int32 (B,) of images float32 (B, pixels)."""
        return self.logits(params, observations).argmax(1).astype(jnp.int32)


def _stage(params: Arrays, name: str, x: jax.Array) -> jax.Array:
    """Feature maps (B, inputs, S, S) to (B, outputs, S / 2, S / 2)."""
    x = _layer(params, name, 0, x)
    batch, channels, side, _ = x.shape
    x = x.reshape(batch, channels, side // 2, 2, side // 2, 2).max((3, 5))
    return x + _layer(params, name, 2, _layer(params, name, 1, x))


def _layer(params: Arrays, name: str, index: int, x: jax.Array) -> jax.Array:
    """Convolution, group norm in float32, and ReLU."""
    weight = params[f"{name}convolutions.{index}.weight"].astype(x.dtype)
    x = jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME")  # NCHW, OIHW
    batch, channels, *sides = x.shape
    grouped = x.astype(jnp.float32).reshape(batch, channels // GROUP, -1)
    centred = grouped - grouped.mean(2, keepdims=True)
    variance = jnp.square(centred).mean(2, keepdims=True)
    normal = (centred * jax.lax.rsqrt(variance + EPSILON)).reshape(batch, channels, *sides)
    gain, bias = (params[f"{name}norms.{index}.{part}"] for part in ("weight", "bias"))
    shifted = normal * gain[:, None, None] + bias[:, None, None]
    return jax.nn.relu(shifted.astype(x.dtype))


def _score(logits: jax.Array, label: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Each example's cross-entropy, and whether its prediction was right."""
    log_probability = jax.nn.log_softmax(logits)
    losses = -jnp.take_along_axis(log_probability, label[:, None], axis=1)[:, 0]
    return losses, logits.argmax(1) == label
