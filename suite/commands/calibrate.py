"""`gradathlon calibrate`."""

from __future__ import annotations

from pathlib import Path

import click

from suite.calibration.carry_out import carry_out, folder_of
from suite.commands import Option
from suite.commands.calibration_options import order_options, place_options, taken_place
from suite.config import load


@click.command()
@click.argument("submission", metavar="NAME|PATH")
@click.option(
    "--suite",
    show_default="toy",
    metavar="SUITE|FILE.yaml",
    help="Calibrate on this suite's workloads, within its budget. Its clock, seed and resources "
    "are the defaults.",
)
@order_options
@place_options("calibrate")
def calibrate(submission: str, suite: str | None, **options: Option) -> None:
    """Find one hyperparameter point for all workloads of a suite at once.

    Quasi-random points of the submission's search space are ranked by the benchmark score and
    halved over more and more workloads. A trial ends as soon as its point can no longer be kept.
    The best few are raced on fresh seeds on all workloads. Prints their scores with intervals, how
    sure the best is, and the cost. DIR/calibrated.yaml is a suite that races the best point; other
    suites may copy its `points`.

    \b
    Examples:
        gradathlon calibrate adamw --suite toy
        gradathlon calibrate ./my_opt.py --points 32 --seeds 5 --defaults -o runs/mine
        gradathlon calibrate adamw --resume
    """
    place, resume, output = taken_place(options), options.pop("resume"), options.pop("output")
    named = load("toy" if suite is None else suite)
    settings = {**options, "suite": suite and named.name}
    folder: Path = folder_of(output, "calibrate", submission, named.name)
    carry_out(submission, None if resume else named, settings, folder, place)
