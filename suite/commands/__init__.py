"""One file a command; each imports what it needs when it runs."""

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import click

Option: TypeAlias = Any
"""What click made of one option."""
Options: TypeAlias = Mapping[str, Option]
"""A command's options by name, as click has checked them."""


def typed(name: str) -> bool:
    """Whether an option of the running command was typed, though it were its default."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


class Finite(click.FloatRange):
    """A number within a range: `nan` is within every one that click compares it with."""

    def convert(
        self, value: float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number
