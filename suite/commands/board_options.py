"""The options of the commands that compute a board: `scoring.board.compute`'s, by its names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from scoring.ground.clocks import CLOCKS
from suite.commands import typed

Command = TypeVar("Command", bound=Callable[..., object])

_PROTOCOL = click.option(
    "--protocol",
    type=click.Choice(["gradathlon", "algoperf"]),
    default="gradathlon",
    show_default=True,
    help="gradathlon: time relative to the tuned reference of the same framework, with intervals. "
    "algoperf: relative to the best submission, as on the published leaderboards.",
)
_CLOCK = click.option(
    "--clock",
    type=click.Choice(list(CLOCKS)),
    help="What counts as time; default: the run's own clock.",
)
_ACROSS = click.option(
    "--across-frameworks",
    is_flag=True,
    help="Compare raw times of torch and jax to the faster framework's reference.",
)
_MIX = click.option(
    "--mix-hardware",
    is_flag=True,
    help="Score seconds even if they were measured on different hardware.",
)
_HELD_OUT = click.option(
    "--held-out",
    is_flag=True,
    help="With --protocol algoperf: the held-out workload X+variant decides whether X counts.",
)


_NAMES = ("protocol", "clock", "across_frameworks", "mix_hardware", "held_out")


def refuse_board_options(what: str) -> None:
    """See that none was typed where there is no board.

    Raises:
        UsageError: one was; `what` tells what is there in place of a board.
    """
    for name in filter(typed, _NAMES):
        raise click.UsageError(
            f"--{name.replace('_', '-')} needs a board, and {what}; leave it out"
        )


def board_options(command: Command) -> Command:
    """Gives a command --protocol, --clock, --across-frameworks, --mix-hardware and --held-out."""
    return _given(command, _PROTOCOL, _CLOCK, _ACROSS, _MIX, _HELD_OUT)


def gradathlon_options(command: Command) -> Command:
    """Gives those of them that mean something where the protocol is gradathlon's."""
    return _given(command, _CLOCK, _ACROSS, _MIX)


def _given(command: Command, *options: Callable[[Command], Command]) -> Command:
    for option in reversed(options):  # the last one given stands first in the help
        command = option(command)
    return command
