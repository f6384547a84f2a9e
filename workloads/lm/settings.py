"""The numbers of one scale, checked."""

from __future__ import annotations

from typing import Literal

import pydantic

from scoring.ground.documents import Model
from workloads.config import Scale
from workloads.lm import bpe


class DataSettings(Model):
    """Which text, cut how: windows of `context` predicted tokens."""

    source: Literal["wikipedia", "fineweb_edu", "shards"]
    context: pydantic.PositiveInt
    vocabulary: pydantic.PositiveInt
    """256 for bytes; otherwise the size of a byte-level BPE."""
    validation_batches: pydantic.PositiveInt
    """Batches of the training batch's shape."""
    test_batches: pydantic.PositiveInt | None
    """None is the whole of the split, in whole batches."""
    train_tokens: pydantic.PositiveInt | None = None
    """How much of the training split to use; None is all of it."""
    tokenizer_bytes: pydantic.PositiveInt | None = None
    """The length of the training text's beginning that a BPE is made from."""
    prefetch: pydantic.NonNegativeInt = 0
    """Batches made ahead by a thread."""
    order: Literal["shuffled", "length", "topic"] = "shuffled"
    """How the windows of a horizon are trained on: by the length of their documents, short ones
    first, or topic by topic, in an order of the seed's."""

    @pydantic.model_validator(mode="after")
    def _topics_are_known(self) -> DataSettings:
        if self.source != "wikipedia" and self.order == "topic":
            raise ValueError(f"order: the documents of {self.source} have no topics")
        return self

    @pydantic.model_validator(mode="after")
    def _vocabulary_is_shipped(self) -> DataSettings:
        if self.source == "wikipedia" and not bpe.BYTES <= self.vocabulary <= bpe.LARGEST:
            raise ValueError(
                f"vocabulary {self.vocabulary}: the shipped merges support {bpe.BYTES} to "
                f"{bpe.LARGEST} tokens"
            )
        return self


class ModelSettings(Model):
    """Sizes and form of the transformer."""

    layers: pydantic.PositiveInt
    width: pydantic.PositiveInt
    heads: pydantic.PositiveInt
    hidden: pydantic.PositiveInt
    """Width of the MLP's hidden layer."""
    gain: pydantic.PositiveFloat = 1.0
    """What the model multiplies its stored matrices by; they start smaller by as much."""
    norm: Literal["pre", "post"] = "pre"
    qk_norm: bool = False
    z_loss: pydantic.NonNegativeFloat = 0.0
    micro_batches: pydantic.PositiveInt = 1
    """In how many parts, one after the other, a batch goes through the model; with more than one,
    a part goes forward again for its gradient, and the memory is that of one."""

    @pydantic.model_validator(mode="after")
    def _heads_divide_width(self) -> ModelSettings:
        if self.width % (2 * self.heads):
            raise ValueError("width must be a multiple of 2 x heads (rotary positions need pairs)")
        return self

    @property
    def head_width(self) -> int:
        """Width of a query, a key and a value."""
        return self.width // self.heads


class LmScale(Scale):
    """One scale of the family."""

    data: DataSettings
    model: ModelSettings

    @pydantic.model_validator(mode="after")
    def _parts_are_equal(self) -> LmScale:
        if self.batch_size % self.model.micro_batches:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of micro_batches "
                f"{self.model.micro_batches}"
            )
        return self
