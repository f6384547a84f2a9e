"""The language model in JAX: the same mathematics, names and shapes as `model_torch.py`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import Array

from workloads.model_jax import Arrays, JaxModel, activity, smoothed

if TYPE_CHECKING:
    from workloads import contract
    from workloads.lm.settings import LmScale

EPSILON = 1e-6


class Seen:
    """What diagnostics look at within the blocks."""

    def __init__(self) -> None:
        self.hidden: list[Array] = []
        self.logits: list[Array] = []

    def attention(self, q: Array, k: Array) -> None:
        """Note the largest logit; queries and keys are (batch, time, heads, head_width)."""
        self.logits.append(_past_scores(q, k).max())


@dataclasses.dataclass(frozen=True, eq=False)
class Transformer(JaxModel):
    """Decoder-only transformer over token ids; a batch is {"tokens": (batch, context + 1)}.

    Weights are float32; with compute type bfloat16 weights and activations are cast on the way,
    norms and loss stay in float32.
    """

    settings: LmScale
    rotary: tuple[contract.Array, contract.Array]

    def loss(
        self,
        params: Arrays,
        batch: Arrays,
        rng: Array | None,
        smoothing: float | Array = 0.0,
    ) -> tuple[Array, Arrays]:
        """Mean nats a token, with the z-loss if any; the by-product is plain."""
        tokens = batch["tokens"]
        if len(parts := self._parts(tokens)) == 1:
            total, mean = self._loss(params, tokens, smoothing)
            return total, {"loss": mean}

        @jax.checkpoint
        def part(tokens: Array) -> tuple[Array, Array]:
            return self._loss(params, tokens, smoothing)

        totals, means = jax.lax.map(part, parts)
        return totals.mean(), {"loss": means.mean()}

    def measure(self, params: Arrays, batch: Arrays) -> Arrays:
        """`loss`, nats summed over the `count` predicted tokens."""

        def part(tokens: Array) -> Array:
            nats, _ = _nats(self._logits(params, tokens), tokens)
            return nats.sum()

        tokens = batch["tokens"]
        parts = self._parts(tokens)
        nats = part(tokens) if len(parts) == 1 else jax.lax.map(part, parts).sum()
        return {"loss": nats, "count": jnp.full((), tokens[:, 1:].size, nats.dtype)}

    def predict(self, params: Arrays, batch: Arrays) -> Arrays:
        """`logits` float32 (batch, context, vocabulary) of each next token."""
        return {"logits": self._logits(params, batch["tokens"])}

    def inspect(self, params: Arrays, batch: Arrays) -> Arrays:
        """The largest logit of attention, and the activity of the blocks' hidden units."""
        seen = Seen()
        self._logits(params, batch["tokens"], seen)
        return {"attention_logit": jnp.stack(seen.logits).max(), **activity(seen.hidden)}

    def _parts(self, tokens: Array) -> Array:
        """Parts of equal size; one where a method picked a number of rows that gives none."""
        count = self.settings.model.micro_batches
        if len(tokens) % count:
            count = 1
        return tokens.reshape(count, -1, tokens.shape[1])

    def _loss(self, params: Arrays, tokens: Array, smoothing: float | Array) -> tuple[Array, Array]:
        """The loss, and its plain part."""
        logits = self._logits(params, tokens)
        nats, partition = _nats(logits, tokens)
        mean, z_loss = nats.mean(), self.settings.model.z_loss
        loss = smoothed(mean, logits, smoothing)
        return loss + z_loss * jnp.square(partition).mean() if z_loss else loss, mean

    def _logits(self, params: Arrays, tokens: Array, seen: Seen | None = None) -> Array:
        params = self._scaled(params)
        x = params["embedding.weight"][tokens[:, :-1]].astype(self.settings.compute.dtype)
        for layer in range(self.settings.model.layers):
            x = self._block(_below(params, f"blocks.{layer}."), x, seen)
        if self.settings.model.norm == "pre":
            x = _rms_norm(x, params["norm.weight"])
        return _linear(x, params["head.weight"]).astype(jnp.float32)

    def _scaled(self, params: Arrays) -> Arrays:
        """Embedding and matrices times the gain; the gains of the norms are as they are."""
        gain = self.settings.model.gain
        return {name: value * gain if value.ndim == 2 else value for name, value in params.items()}

    def _block(self, p: Arrays, x: Array, seen: Seen | None) -> Array:
        gain1, gain2 = p["norm1.weight"], p["norm2.weight"]
        if self.settings.model.norm == "post":
            x = _rms_norm(x + self._attend(p, x, seen), gain1)
            return _rms_norm(x + _transform(p, x, seen), gain2)
        x = x + self._attend(p, _rms_norm(x, gain1), seen)
        return x + _transform(p, _rms_norm(x, gain2), seen)

    def _attend(self, p: Arrays, x: Array, seen: Seen | None) -> Array:
        model = self.settings.model
        split = (*x.shape[:2], model.heads, model.head_width)
        q, k, v = (_linear(x, p[f"{m}.weight"]).reshape(split) for m in ("query", "key", "value"))
        if model.qk_norm:
            q, k = _rms_norm(q, p["query_norm.weight"]), _rms_norm(k, p["key_norm.weight"])
        cos, sin = (jnp.asarray(table, x.dtype)[:, None] for table in self.rotary)
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        if seen is not None:
            seen.attention(q, k)
        y = _causal_attention(q, k, v)
        return _linear(y.reshape(x.shape), p["out.weight"])


def _nats(logits: Array, tokens: Array) -> tuple[Array, Array]:
    """Of each next token its nats, and the logarithm of the partition function."""
    partition = jax.nn.logsumexp(logits, axis=-1)
    chosen = jnp.take_along_axis(logits, tokens[:, 1:, None], axis=-1)[..., 0]
    return partition - chosen, partition


def _below(params: Arrays, prefix: str) -> Arrays:
    return {k.removeprefix(prefix): v for k, v in params.items() if k.startswith(prefix)}


def _transform(p: Arrays, x: Array, seen: Seen | None) -> Array:
    hidden = jax.nn.gelu(_linear(x, p["up.weight"]))
    if seen is not None:
        seen.hidden.append(hidden.reshape(-1, hidden.shape[-1]))
    return _linear(hidden, p["down.weight"])


def _linear(x: Array, weight: Array) -> Array:
    return x @ weight.astype(x.dtype).T


def _rms_norm(x: Array, gain: Array) -> Array:
    y = x.astype(jnp.float32)
    y = y * jax.lax.rsqrt(jnp.mean(jnp.square(y), axis=-1, keepdims=True) + EPSILON)
    return (y * gain).astype(x.dtype)


def _rotate(x: Array, cos: Array, sin: Array) -> Array:
    first, second = jnp.split(x, 2, axis=-1)
    return jnp.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)


def _causal_attention(q: Array, k: Array, v: Array) -> Array:
    """Softmax attention to the past; arrays are (batch, time, heads, head_width)."""
    if q.dtype == jnp.bfloat16 and jax.default_backend() == "gpu":
        # The scores of a standard-scale batch would not fit: cuDNN's fused kernel keeps none.
        return jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation="cudnn")
    weights = jax.nn.softmax(_past_scores(q, k), axis=-1).astype(q.dtype)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, v)


def _past_scores(q: Array, k: Array) -> Array:
    """Logits of attention float32 (batch, heads, query, key), minus infinity for the future."""
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k, preferred_element_type=jnp.float32)
    past = jnp.tril(jnp.ones(scores.shape[-2:], bool))
    return jnp.where(past, scores * q.shape[-1] ** -0.5, -jnp.inf)
