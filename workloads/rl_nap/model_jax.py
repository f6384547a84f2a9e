"""The normalised Q-network in JAX: the torch module's parameter names and shapes."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from workloads.model_jax import Arrays, JaxModel, activity
from workloads.rl_nap.network import EPSILON, Network


@dataclasses.dataclass(frozen=True)
class PlayJax(JaxModel):
    """Convolutions and hidden layers, each normalised before its ReLU, and a linear head."""

    network: Network

    def act(
        self, params: Arrays, observation: jax.Array, seen: list[jax.Array] | None = None
    ) -> jax.Array:
        """Values float32 (B, actions) of observations uint8 (B, channels, height, width).

        What each hidden layer gives goes into `seen`.
        """
        network = self.network
        x = jnp.asarray(observation, network.dtype) * network.scale
        for index, layer in enumerate(network.convolutions):
            x = jax.lax.conv_general_dilated(
                x,
                params[f"convolutions.{index}.weight"].astype(network.dtype),
                window_strides=(layer.stride, layer.stride),
                padding="VALID",
                dimension_numbers=("NCHW", "OIHW", "NCHW"),
            )
            x = self._activated(x)
            if seen is not None:
                seen.append(jnp.moveaxis(x, 1, -1).reshape(-1, x.shape[1]))
        x = x.reshape(len(x), -1)
        for index in range(len(network.hidden)):
            x = self._activated(x @ params[f"layers.{index}.weight"].astype(network.dtype).T)
            if seen is not None:
                seen.append(x)
        return x.astype(jnp.float32) @ params["head.weight"].T + params["head.bias"]

    def loss(self, params: Arrays, batch: Arrays, rng: jax.Array) -> tuple[jax.Array, Arrays]:
        """Mean Huber loss of the values of the actions taken; `value` is their mean."""
        taken = _taken(self.act(params, batch["observation"]), batch["action"])
        loss = _huber(taken - batch["target"]).mean()
        return loss, {"loss": loss, "value": taken.mean()}

    def measure(self, params: Arrays, batch: Arrays) -> Arrays:
        """`loss`, the Huber losses summed over the `count` observations."""
        values = self.act(params, batch["observation"])
        losses = _huber(_taken(values, batch["action"]) - batch["target"])
        return {"loss": losses.sum(), "count": jnp.int32(len(values))}

    def predict(self, params: Arrays, batch: Arrays) -> Arrays:
        """The `value` float32 (B, actions) of each action, and the greedy `action` (B,)."""
        values = self.act(params, batch["observation"])
        return {"value": values, "action": values.argmax(1)}

    def inspect(self, params: Arrays, batch: Arrays) -> Arrays:
        """The activity of hidden units, and the last of them as features."""
        seen: list[jax.Array] = []
        self.act(params, batch["observation"], seen)
        return {**activity(seen), "features": seen[-1]}

    def project(self, params: Arrays) -> Arrays:
        """Each hidden matrix brought back to its initial norm."""
        if not self.network.project:
            return params
        projected = {
            name: params[name] * (norm / jnp.linalg.norm(params[name].ravel()))
            for name, norm in self.network.norms.items()
        }
        return params | projected

    def _activated(self, x: jax.Array) -> jax.Array:
        # Over everything of an example, in float32.
        axes = tuple(range(1, x.ndim))
        x = x.astype(jnp.float32)
        centred = x - x.mean(axes, keepdims=True)
        variance = jnp.square(centred).mean(axes, keepdims=True)
        normalised = centred * jax.lax.rsqrt(variance + EPSILON)
        return jax.nn.relu(normalised).astype(self.network.dtype)


def _taken(values: jax.Array, action: jax.Array) -> jax.Array:
    """The value of the action taken in each example."""
    return jnp.take_along_axis(values, action[:, None], axis=1)[:, 0]


def _huber(error: jax.Array) -> jax.Array:
    """Half the square up to 1, and from there on a line."""
    size = jnp.abs(error)
    square = jnp.minimum(size, 1.0)
    return 0.5 * jnp.square(square) + size - square
