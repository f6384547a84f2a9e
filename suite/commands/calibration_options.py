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
            help="Candidates, the submission's defaults among them.",
            show_default=str(DEFAULTS["points"]),
        ),
        click.option(
            "--finalists",
            type=click.IntRange(1, MOST),
            metavar="K",
            help="How many of them meet the fresh seeds.",
            show_default=str(DEFAULTS["finalists"]),
        ),
        click.option(
            "--seeds",
            type=click.IntRange(1, MOST - 1),
            metavar="S",
            help="Fresh seeds of each finalist on each workload.",
            show_default=str(DEFAULTS["seeds"]),
        ),
        click.option(
            "--defaults/--no-defaults",
            default=None,
            help="Whether the defaults meet the fresh seeds in any case, to see what was gained.",
            show_default="no",
        ),
        click.option(
            "--clock",
            type=click.Choice(["paired", "steps"]),
            help="What counts as time: paired is in the reference's steps, measured in turns with "
            "it; steps are exact and cheaper, and blind to what a step costs.",
        ),
        click.option(
            "--prune",
            type=click.Choice(["exact", "forecast"]),
            help="Which of the ladder's trials are ended early. exact: those whose point can no "
            "longer be kept, which changes nothing. forecast: also those whose learning curve says "
            "that they will miss the target, which errs now and then.",
            show_default="exact",
        ),
        click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="What all derives from."),
    ]
    return _all(options, command)


def place_options(kind: str) -> Callable[[F], F]:
    """Where trials race, what each holds, and where their records lie."""
    options = [
        click.option("--cores", type=click.IntRange(1, MOST), metavar="N", help="Of a trial."),
        click.option("--gpus", type=click.IntRange(0, MOST), metavar="N", help="Of a trial."),
        at_once_option,
        address_option,
        executor_option,
        click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help=f"Where trials and results lie [default: runs/{kind}-...].",
        ),
        click.option("--resume", is_flag=True, help="Go on with what was begun in DIR."),
    ]
    return lambda command: _all(options, command)


def taken_place(options: dict[str, Option]) -> Place:
    """Take the place to race out of a command's options."""
    return Place(*(options.pop(name) for name in ("executor", "address", "at_once")))


def _all(options: Sequence[Callable[[F], F]], command: F) -> F:
    for option in reversed(options):
        command = option(command)
    return command
