"""DCN-V2 in JAX: the torch module's parameter names and shapes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from workloads.model_jax import Arrays, JaxModel, activity

if TYPE_CHECKING:
    from workloads.recommender.ctr.settings import ClickScale


@dataclasses.dataclass(frozen=True, eq=False)
class DcnJax(JaxModel):
    """DCN-V2: crossed and deep features of the embedded columns, and a linear head on both.

    Networks compute in the scale's type; log-odds and loss are float32.
    """

    settings: ClickScale

    def loss(self, params: Arrays, batch: Arrays, rng: jax.Array) -> tuple[jax.Array, Arrays]:
        """Mean nats, with the embeddings' L2 term if any; the by-product is plain."""
        nats = _binary_cross_entropy(self._score(params, batch), batch["click"]).mean()
        if not (l2 := self.settings.model.embedding_l2):
            return nats, {"loss": nats}
        tables = params["embedding.weight"], params["number.weight"]
        squares = sum(jnp.square(table).sum() for table in tables)
        return nats + l2 / 2 * squares, {"loss": nats}

    def measure(self, params: Arrays, batch: Arrays) -> Arrays:
        """`loss`, nats summed over `count` examples."""
        score = self._score(params, batch)
        loss = _binary_cross_entropy(score, batch["click"]).sum()
        return {"loss": loss, "count": jnp.int32(len(score))}

    def predict(self, params: Arrays, batch: Arrays) -> Arrays:
        """`score`, each example's log-odds float32 (B,)."""
        return {"score": self._score(params, batch)}

    def inspect(self, params: Arrays, batch: Arrays) -> Arrays:
        """The activity of the deep network's units."""
        seen: list[jax.Array] = []
        self._score(params, batch, seen)
        return activity(seen)

    def _score(
        self, params: Arrays, batch: Arrays, seen: list[jax.Array] | None = None
    ) -> jax.Array:
        """Log-odds of a click, float32 (B,); units are dropped where the batch says so."""
        model, size = self.settings.model, len(batch["numbers"])
        embedded = params["embedding.weight"][batch["categories"]].reshape(size, -1)
        scaled = (batch["numbers"][..., None] * params["number.weight"]).reshape(size, -1)
        start = jnp.concatenate((embedded, scaled), axis=1).astype(self.settings.compute.dtype)
        crossed = start
        for index in range(model.crosses):
            crossed = start * _linear(params, f"cross.{index}", crossed) + crossed
        deep, unit = start, 0
        for index, width in enumerate(model.hidden):
            deep = jax.nn.relu(_linear(params, f"deep.{index}", deep))
            if seen is not None:
                seen.append(deep)
            if "kept" in batch:
                kept = batch["kept"][:, unit : unit + width].astype(deep.dtype)
                deep = deep * kept * (256 / (256 - model.dropped))
            unit += width
        both = jnp.concatenate((crossed, deep), axis=1)
        return _linear(params, "head", both)[:, 0].astype(jnp.float32)


def _binary_cross_entropy(score: jax.Array, click: jax.Array) -> jax.Array:
    return jax.nn.softplus(score) - click * score


def _linear(params: Arrays, name: str, x: jax.Array) -> jax.Array:
    return x @ params[f"{name}.weight"].astype(x.dtype).T + params[f"{name}.bias"].astype(x.dtype)
