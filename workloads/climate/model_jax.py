"""The spherical Fourier neural operator in JAX: the torch module's parameter names and shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from workloads.model_jax import Arrays, JaxModel, activity

if TYPE_CHECKING:
    from workloads.climate.harmonics import Harmonics
    from workloads.climate.settings import ClimateScale
    from workloads.contract import Array

EPSILON = 1e-6


class ClimateJax(JaxModel):
    """One six-hour step: the normalised change of the state, and the fluxes at its end."""

    def __init__(self, settings: ClimateScale, harmonics: Harmonics, area: Array) -> None:
        self.layers = settings.model.layers
        self.gain = settings.model.gain
        self.prognostic = settings.prognostic
        self.norm_axes = (0, 2, 3) if settings.model.norm == "layer" else (2, 3)
        self.dtype = settings.compute.dtype
        self.harmonics = harmonics
        self.area = area

    def outputs(
        self,
        params: Arrays,
        state: jax.Array,
        forcing: jax.Array,
        seen: list[jax.Array] | None = None,
    ) -> jax.Array:
        """Normalised changes and diagnostics, float32 (B, outputs, nlat, nlon).

        What each block's hidden layer gives goes into `seen`.
        """
        # Channels first, then examples: a 1 x 1 convolution and its gradient are one product each.
        x = jnp.concatenate([state, forcing], 1).astype(self.dtype).swapaxes(0, 1)
        y = self._linear(params, "encoder", x)
        y = y + self.gain * params["position"].astype(self.dtype)[:, None]
        for layer in range(self.layers):
            block = f"blocks.{layer}."
            z = self._norm(params, block + "norm1", y)
            mixed = self._convolve(params[block + "spectral.weight"], z)
            z = _gelu(mixed + self._linear(params, block + "skip", z))
            hidden = self._norm(params, block + "norm2", z)
            hidden = _gelu(self._linear(params, block + "up", hidden))
            if seen is not None:
                seen.append(hidden.reshape(len(hidden), -1).T)
            y = y + self._linear(params, block + "down", hidden)
        out = self._linear(params, "decoder", jnp.concatenate([y, x], 0))
        return out.swapaxes(0, 1).astype(jnp.float32)

    def loss(self, params: Arrays, batch: Arrays, rng: jax.Array) -> tuple[jax.Array, Arrays]:
        """Area-weighted mean squared error over all channels, each in its own normalised unit."""
        squared = self._squared(params, batch)
        loss = squared.mean()
        return loss, {"loss": loss, "changes": squared[:, : self.prognostic].mean()}

    def measure(self, params: Arrays, batch: Arrays) -> Arrays:
        """Sums over the examples; `squared` and `persistence` by channel, (outputs,)."""
        squared = self._squared(params, batch)
        return {
            "loss": squared.mean(1).sum(),
            "squared": squared.sum(0),
            "persistence": self._mean(batch["target"] ** 2).sum(0),
            "count": jnp.float32(len(squared)),
        }

    def predict(self, params: Arrays, batch: Arrays) -> Arrays:
        """`output`, what the model makes of `state` and `forcing`: (B, outputs, H, W)."""
        return {"output": self.outputs(params, batch["state"], batch["forcing"])}

    def inspect(self, params: Arrays, batch: Arrays) -> Arrays:
        """The activity of the blocks' hidden channels."""
        seen: list[jax.Array] = []
        self.outputs(params, batch["state"], batch["forcing"], seen)
        return activity(seen)

    def _squared(self, params: Arrays, batch: Arrays) -> jax.Array:
        """Area-weighted squared error of every example and channel, (B, outputs)."""
        outputs = self.outputs(params, batch["state"], batch["forcing"])
        return self._mean((outputs - batch["target"]) ** 2)

    def _mean(self, field: jax.Array) -> jax.Array:
        return field.mean(-1) @ self.area

    def _linear(self, params: Arrays, name: str, x: jax.Array) -> jax.Array:
        weight = (self.gain * params[name + ".weight"]).astype(x.dtype)
        y = (weight @ x.reshape(len(x), -1)).reshape(-1, *x.shape[1:])
        return y + params[name + ".bias"].astype(x.dtype)[:, None, None, None]

    def _norm(self, params: Arrays, name: str, x: jax.Array) -> jax.Array:
        y = x.astype(jnp.float32)
        centred = y - y.mean(self.norm_axes, keepdims=True)
        scale = jax.lax.rsqrt((centred**2).mean(self.norm_axes, keepdims=True) + EPSILON)
        weight, bias = params[name + ".weight"], params[name + ".bias"]
        y = centred * scale * weight[:, None, None, None] + bias[:, None, None, None]
        return y.astype(x.dtype)

    def _convolve(self, weight: jax.Array, x: jax.Array) -> jax.Array:
        """Each degree of the field's harmonics times a complex matrix over channels.

        The transforms are float32 in any case: in bfloat16 the large degrees leak into the rest.
        """
        tables = self.harmonics
        width, batch, nlat, _ = x.shape
        orders, degrees = tables.orders, tables.degrees
        waves = (x.astype(jnp.float32) @ tables.fourier).reshape(batch * width, nlat, 2, orders)
        waves = waves.transpose(3, 0, 2, 1).reshape(orders, batch * width * 2, nlat)
        coefficients = (waves @ tables.analysis).astype(x.dtype)
        coefficients = coefficients.reshape(orders, width, batch, 2, degrees).transpose(
            4, 2, 0, 3, 1
        )
        mixed = coefficients.reshape(degrees, batch * orders, 2 * width) @ self._complex(
            weight, x.dtype
        )
        mixed = mixed.reshape(degrees, batch, orders, 2, width).transpose(2, 4, 1, 3, 0)
        mixed = mixed.astype(jnp.float32)
        waves = mixed.reshape(orders, batch * width * 2, degrees) @ tables.synthesis
        waves = waves.reshape(orders, width, batch, 2, nlat).transpose(1, 2, 4, 3, 0)
        fields = waves.reshape(width, batch, nlat, 2 * orders) @ tables.inverse
        return fields.astype(x.dtype)

    def _complex(self, weight: jax.Array, dtype: jnp.dtype) -> jax.Array:
        """Complex matrices (degrees, in, out, 2) as real ones (degrees, 2 in, 2 out)."""
        weight = (self.gain * weight).astype(dtype)
        real, imaginary = weight[..., 0], weight[..., 1]
        above = jnp.concatenate([real, imaginary], 2)
        return jnp.concatenate([above, jnp.concatenate([-imaginary, real], 2)], 1)


def _gelu(x: jax.Array) -> jax.Array:
    return jax.nn.gelu(x, approximate=False)
