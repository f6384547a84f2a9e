"""The options of the commands that compute a board: `scoring.board.compute`'s, by its names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from scoring.ground.clocks import CLOCKS

Command = TypeVar("Command", bound=Callable[..., object])

_OPTIONS = (
    click.option(
        "--protocol",
        type=click.Choice(["gradathlon", "algoperf"]),
        default="gradathlon",
        show_default=True,
        help="gradathlon: time compared to the tuned reference of the same framework, with "
        "intervals. algoperf: compared to the best submission, as on the published leaderboards.",
    ),
    click.option(
        "--clock",
        type=click.Choice(list(CLOCKS)),
        help="What counts as time; the run's own clock unless given.",
    ),
    click.option(
        "--across-frameworks",
        is_flag=True,
        help="Compare raw times of torch and jax to the faster framework's reference.",
    ),
    click.option(
        "--mix-hardware",
        is_flag=True,
        help="Score seconds that were measured on unequal hardware all the same.",
    ),
    click.option(
        "--held-out",
        is_flag=True,
        help="With --protocol algoperf: a workload X+variant decides whether X counts.",
    ),
)


def board_options(command: Command) -> Command:
    """Gives a command --protocol, --clock, --across-frameworks, --mix-hardware and --held-out."""
    for option in reversed(_OPTIONS):  # the last one given stands first in the help
        command = option(command)
    return command
