"""The numbers of one scale, checked."""

from __future__ import annotations

import pydantic

from scoring.ground.documents import Model
from workloads.config import Scale

PIXELS, CLASSES = 784, 10


class DataSettings(Model):
    """How much of the held-out data an evaluation uses."""

    validation: pydantic.PositiveInt
    """Number of images; the remaining ones are the test set."""


class ModelSettings(Model):
    """The network."""

    hidden: pydantic.PositiveInt
    """Width of the hidden layer."""


class DigitsScale(Scale):
    """What `config.yaml` states under each scale."""

    data: DataSettings
    model: ModelSettings
