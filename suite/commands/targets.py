"""`gradathlon set-targets`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command(name="set-targets")
@click.argument("workload", metavar="WORKLOAD")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the procedure's own trials are kept [default: runs/targets-WORKLOAD].",
)
@click.option("--resume", is_flag=True, help="Go on with the procedure begun in DIR.")
@click.option("--address", metavar="ADDRESS", help="A Ray cluster to join, as in `run`.")
def set_targets(workload: str, output: Path | None, resume: bool, **options: Any) -> None:
    """Set a workload's target, budget and reference by the stated procedure.

    Tunes NadamW, AdamW and SGD over their search spaces, runs the winner on fresh seeds in both
    frameworks, and writes what came out into the workload's config.yaml: the target that these
    runs meet, a budget of 4 times their median, and the tuned points.

    \b
    Example:
        gradathlon set-targets lm-toy-v1
    """
    from scoring.ground.documents import ConfigError
    from suite.targets import Settings
    from suite.targets import set_targets as run

    folder = (output or Path("runs") / f"targets-{workload}").absolute()
    if (folder / "trials").exists() and not resume:
        raise ConfigError(
            f"{folder} already holds trials; go on with them: add --resume, or name another folder"
        )
    run(
        Settings(
            workload=workload,
            folder=folder,
            executor="ray",
            address=options["address"],
            say=lambda line: click.echo(line, err=True),
        )
    )
