"""`gradathlon set-targets`."""

from __future__ import annotations

from pathlib import Path

import click

from scoring.ground.documents import ConfigError
from scoring.ground.words import Resources
from suite.commands import Option
from suite.commands.racing_options import (
    address_option,
    at_once_option,
    executor_option,
    holding_options,
)
from suite.talk import say
from suite.targets.procedure import BASE_FRESH_SEEDS, BASE_POINTS, FRESH_SEEDS


@click.command(name="set-targets")
@click.argument("workload", metavar="WORKLOAD")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    show_default="targets",
    metavar="DIR",
    help="Where the result is written, with one folder per family.",
)
@click.option("--adopt", is_flag=True, help="Put the result into this checkout's workloads/.")
@click.option(
    "--trials-in",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the procedure's own trials are kept [default: runs/targets-WORKLOAD].",
)
@click.option("--resume", is_flag=True, help="Resume the procedure begun in --trials-in.")
@click.option(
    "--from-base",
    is_flag=True,
    help="No tuning: for a variant, race the points that its base's target was set with.",
)
@click.option(
    "--from-log",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="No tuning: race the points in this log, for example of the previous version or another "
    "scale.",
)
@click.option(
    "--points",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="With --from-base or --from-log: race only the N best points.",
    show_default=str(BASE_POINTS),
)
@click.option(
    "fresh",
    "--fresh",
    type=(click.IntRange(2, 1000), click.IntRange(0, 1000)),
    metavar="OWN OTHER",
    help="Fresh seeds in the framework tuned in, and in the other (0 for none).",
    show_default="{} {}; with --from-base or --from-log {} {}".format(
        *FRESH_SEEDS, *BASE_FRESH_SEEDS
    ),
)
@click.option(
    "--framework",
    type=click.Choice(["torch", "jax"]),
    default="jax",
    show_default=True,
    help="Framework to tune in; choose the faster one.",
)
@holding_options
@executor_option
@at_once_option
@address_option
def set_targets(
    workload: str, output: Path | None, trials_in: Path | None, **options: Option
) -> None:
    """Set a workload's target, budget and reference by the stated procedure.

    Tunes NadamW, AdamW and SGD over their search spaces, and runs the winner on fresh seeds in both
    frameworks. Writes the target that these runs meet, a budget of 4 times their median, the tuned
    points, and the procedure's log.

    \b
    Examples:
        gradathlon set-targets lm-toy-v2
        gradathlon set-targets lm-toy-v2+qknorm --from-base
        gradathlon set-targets lm-toy-v2+qknorm --from-base --points 1 --fresh 5 0
    """
    from suite.targets.procedure import set_targets as carry_out
    from suite.targets.stages import Settings

    folder = (trials_in or Path("runs") / f"targets-{workload}").absolute()
    if (folder / "trials").exists() and not options["resume"]:
        raise ConfigError(
            f"{folder}: already holds trials; continue them with --resume, or choose another "
            "folder with --trials-in"
        )
    if options["adopt"] and output is not None:
        raise click.UsageError("-o or --adopt, not both")
    if options["from_base"] and options["from_log"]:
        raise click.UsageError("--from-base or --from-log, not both")
    if options["points"] and not (options["from_base"] or options["from_log"]):
        raise ConfigError("--points needs --from-base or --from-log; otherwise points are drawn")
    carry_out(
        Settings(
            workload=workload,
            folder=folder,
            output=None if options["adopt"] else (output or Path("targets")).absolute(),
            executor=options["executor"],
            say=say,
            address=options["address"],
            framework=options["framework"],
            resources=Resources(options["cores"], options["gpus"]),
            at_once=options["at_once"],
            from_base=options["from_base"],
            from_log=options["from_log"],
            points=options["points"],
            fresh=options["fresh"],
        )
    )
