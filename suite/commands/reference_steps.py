"""`gradathlon reference-steps`."""

from __future__ import annotations

import math
from pathlib import Path

import click

from scoring.ground.words import Resources
from suite.commands import Option
from suite.commands.racing_options import at_once_option, executor_option
from suite.talk import say

SEEDS = 10


@click.command(name="reference-steps")
@click.argument("workloads", nargs=-1, required=True, metavar="WORKLOAD...")
@click.option("--measure", is_flag=True, help="Race fresh seeds anew.")
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    show_default=str(SEEDS),
    metavar="N",
    help="With --measure: number of fresh seeds per framework.",
)
@click.option(
    "--framework",
    "frameworks",
    type=click.Choice(["torch", "jax"]),
    multiple=True,
    help="With --measure: only this one.",
)
@click.option("--adopt", is_flag=True, help="Put the steps into this checkout's workloads/.")
@click.option(
    "--trials-in",
    type=click.Path(path_type=Path),
    default=Path("runs/reference-steps"),
    show_default=True,
    metavar="DIR",
    help="Folder for measured trials. Those already there are not raced again.",
)
@executor_option
@at_once_option
def reference_steps(
    workloads: tuple[str, ...], measure: bool, adopt: bool, **options: Option
) -> None:
    """Show in how many steps the reference meets a target, over fresh seeds.

    The paired clock compares to these steps, on the data they were measured on. They are read from
    the log of the procedure that set the target. If that log is of another version of the workload,
    measure them anew.

    \b
    Examples:
        gradathlon reference-steps lm-toy-v2
        gradathlon reference-steps homeostatic-toy-v3 --measure --adopt
        gradathlon reference-steps rl_nap-toy-v3 --measure --framework torch --seeds 5
    """
    from suite.targets import reference
    from suite.targets.stages import Settings

    if not measure and (options["seeds"] or options["frameworks"]):
        raise click.UsageError("--seeds and --framework need --measure; add it")
    for id in workloads:
        reference.see_that_it_can_be(id, adopt=adopt)
    for id in workloads:
        log = None
        if measure:
            settings = Settings(
                workload=id,
                folder=(options["trials_in"] / id).absolute(),
                output=None,
                executor=options["executor"],
                say=say,
                resources=Resources(),
                at_once=options["at_once"],
            )
            steps, log = reference.measure(
                settings, options["frameworks"] or ("torch", "jax"), options["seeds"] or SEEDS
            )
        else:
            steps = reference.logged_steps(id)
        for framework, one in steps.items():
            told = " ".join("missed" if math.isinf(count) else str(count) for count in one.steps)
            click.echo(f"{id}\t{framework}\t{told}")
        if adopt:
            reference.adopt(id, steps, log)
