"""`gradathlon tune`."""

from __future__ import annotations

import click

import workloads
from scoring.run_file import Suite
from suite.calibration.carry_out import carry_out, folder_of
from suite.commands import Option
from suite.commands.calibration_options import order_options, place_options, taken_place
from suite.config import NamedSuite


@click.command()
@click.argument("submission", metavar="NAME|PATH")
@click.argument("workload", metavar="WORKLOAD")
@order_options
@place_options("tune")
def tune(submission: str, workload: str, **options: Option) -> None:
    """Find a submission's best hyperparameters for one workload.

    Like `calibrate` for a suite: tries quasi-random points, ends each once it is slower than the
    best few, and races those on fresh seeds.

    \b
    Examples:
        gradathlon tune adamw lm-toy-v2
        gradathlon tune ./my_opt.py homeostatic-toy-v3 --points 32 --clock steps
    """
    place, resume, output = taken_place(options), options.pop("resume"), options.pop("output")
    workloads.get(workload)
    suite = Suite(
        title=workload,
        workloads=[workload],
        submissions=[submission],
        ruleset="external",
        studies=1,
        trials=1,
        clock="paired",
        seed=0,
        budget_factor=1.0,
    )
    folder = folder_of(output, "tune", submission, workload)
    named = None if resume else NamedSuite(workload, suite)
    carry_out(submission, named, {**options, "suite": workload}, folder, place)
