"""The numbers of one scale, checked."""

from __future__ import annotations

import pydantic

from scoring.ground.documents import Model
from workloads.config import Scale
from workloads.recommender.ctr import data as clicks


class DataSettings(Model):
    """Which clicks, and how many are looked at."""

    source: clicks.Source
    vocabulary: pydantic.PositiveInt
    """Ids of all columns of categories together."""
    categories: pydantic.PositiveInt
    """Columns of categories."""
    numbers: pydantic.PositiveInt
    """Columns of numbers."""
    validation: pydantic.PositiveInt
    """The first of the validation part's examples that an evaluation looks at."""
    rows: pydantic.PositiveInt
    """Examples judged at a time."""
    examples: list[pydantic.PositiveInt] = pydantic.Field(min_length=3, max_length=3)
    """Of the three parts; another number means damaged files."""
    prefetch: pydantic.NonNegativeInt = 0
    """Batches made ahead by a thread."""


class ModelSettings(Model):
    """Sizes of DCN-V2."""

    width: pydantic.PositiveInt
    """Of an embedding."""
    crosses: pydantic.PositiveInt
    """Layers of the cross network, of full rank."""
    hidden: list[pydantic.PositiveInt] = pydantic.Field(min_length=1)
    """Widths of the deep network's layers."""
    dropout: float = pydantic.Field(ge=0, lt=1)
    """After each of the deep network's layers; taken to the nearest 1/256."""
    embedding_std: pydantic.PositiveFloat = 0.1
    """Standard deviation of initial embeddings."""
    embedding_l2: pydantic.NonNegativeFloat = 0.0
    """Half of this times the sum of all embeddings' squares is part of the loss."""

    @property
    def dropped(self) -> int:
        """Of 256 hidden units, how many are dropped on average."""
        return round(256 * self.dropout)


class ClickScale(Scale):
    """The numbers of one scale of the variant."""

    data: DataSettings
    model: ModelSettings

    @property
    def inputs(self) -> int:
        """Width of the embedded columns side by side."""
        return (self.data.categories + self.data.numbers) * self.model.width
