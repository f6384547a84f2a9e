"""A budget as files state it; a trial's own is `scoring.ground.words.Budget`."""

from __future__ import annotations

import pydantic

from scoring.ground.documents import Model


class Limit(Model):
    """The steps and the seconds of clock after which a trial ends."""

    steps: pydantic.PositiveInt
    seconds: float = pydantic.Field(gt=0, allow_inf_nan=False)
