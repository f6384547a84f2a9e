"""Options that `calibrate`, `tune` and `sweep` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click

from scoring.run_file import MOST
from suite.calibration.order import DEFAULTS
from suite.commands import Option
from suite.commands.racing_options import address_option, at_once_option, executor_option
from suite.trials import Place

F = TypeVar("F", bound=Callable[..., object])


def order_options(command: F) -> F:
    """How a calibration proceeds."""
    options = [
        click.option(
            "--points",
            type=click.IntRange(1, MOST),
            metavar="N",
            help="Number of candidates, including the submission's defaults.",
            show_default=str(DEFAULTS["points"]),
        ),
        click.option(
            "--finalists",
            type=click.IntRange(1, MOST),
            metavar="K",
            help="How many candidates are raced on fresh seeds.",
            show_default=str(DEFAULTS["finalists"]),
        ),
        click.option(
            "--seeds",
            type=click.IntRange(1, MOST - 1),
            metavar="S",
            help="Fresh seeds per finalist and workload.",
            show_default=str(DEFAULTS["seeds"]),
        ),
        click.option(
            "--defaults/--no-defaults",
            default=None,
            help="Whether to race the defaults on the fresh seeds in any case, to show the gain.",
            show_default="no",
        ),
        click.option(
            "--clock",
            type=click.Choice(["paired", "steps"]),
            help="What counts as time. paired: the reference's steps, measured in turns with it. "
            "steps: exact and cheaper, but blind to the cost of a step.",
        ),
        click.option(
            "--prune",
            type=click.Choice(["exact", "forecast"]),
            help="Which trials of the search end early. exact: those whose point can no longer be "
            "kept; the result is the same. forecast: also those whose learning curve predicts a "
            "miss, which is sometimes wrong.",
            show_default="exact",
        ),
        click.option(
            "--seed",
            type=click.IntRange(0, 2**63 - 1),
            help="Base seed, from which everything derives.",
        ),
    ]
    return _all(options, command)


def place_options(kind: str) -> Callable[[F], F]:
    """Where trials race, what each holds, and where their records lie."""
    options = [
        click.option("--cores", type=click.IntRange(1, MOST), metavar="N", help="Cores per trial."),
        click.option(
            "--gpus", type=click.IntRange(0, MOST), metavar="N", help="Accelerators per trial."
        ),
        at_once_option,
        address_option,
        executor_option,
        click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help=f"Folder for trials and results [default: runs/{kind}-...].",
        ),
        click.option("--resume", is_flag=True, help="Resume what was begun in DIR."),
    ]
    return lambda command: _all(options, command)


def taken_place(options: dict[str, Option]) -> Place:
    """Take the place to race out of a command's options."""
    return Place(*(options.pop(name) for name in ("executor", "address", "at_once")))


def _all(options: Sequence[Callable[[F], F]], command: F) -> F:
    for option in reversed(options):
        command = option(command)
    return command
