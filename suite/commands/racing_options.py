"""Options of several commands that race: where trials run, and what each holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from scoring.run_file import MOST

Command = TypeVar("Command", bound=Callable[..., object])


def _one_place(
    ctx: click.Context, option: click.Parameter, word: str | int | None
) -> str | int | None:
    """What was typed, unless another option says that trials race elsewhere, or otherwise."""
    if option.name == "executor" and isinstance(word, str):
        word = word.replace("-", "_")
    chosen = {**ctx.params, option.name: word}
    if chosen.get("executor") == "in_process" and chosen.get("address") is not None:
        raise click.UsageError(
            "--executor in-process races in this process, --address on a cluster; leave one out"
        )
    if chosen.get("executor") == "in_process" and (chosen.get("at_once") or 1) > 1:
        raise click.UsageError(
            "--executor in-process races one trial after the other, not --at-once N; leave one out"
        )
    return word


executor_option = click.option(
    "--executor",
    type=click.Choice(["ray", "in-process"]),
    default="ray",
    show_default=True,
    callback=_one_place,
    help="ray: trials in parallel, each in a fresh process. in-process: one after the other.",
)
"""Its value is a `cluster.Executor`."""
address_option = click.option(
    "--address",
    metavar="ADDRESS",
    callback=_one_place,
    help="A Ray cluster that this machine is a node of: auto, or HOST:PORT. Default: start a "
    "local one.",
)
at_once_option = click.option(
    "--at-once",
    type=click.IntRange(1, 10_000),
    metavar="N",
    callback=_one_place,
    help="Trials at the same time, instead of as many as the cores allow. One or two fewer leave "
    "a core to the rest of the machine, for quieter times.",
)


def holding_options(command: Command) -> Command:
    """Gives a command --cores and --gpus, of one core and no accelerator."""
    for name, fewest in (("--gpus", 0), ("--cores", 1)):  # the last given is listed first
        option = click.option(
            name,
            type=click.IntRange(fewest, MOST),
            default=fewest,
            show_default=True,
            metavar="N",
            help="Number per trial.",
        )
        command = option(command)
    return command
