"""`gradathlon set-targets`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command(name="set-targets")
@click.argument("workload_id", metavar="WORKLOAD")
@click.option(
    "run_folder",
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Where the procedure's own trials are kept.",
)
@click.option("--resume", is_flag=True, help="Go on with the procedure begun in DIR.")
def set_targets(**options: Any) -> None:
    """Set a workload's target, budget and reference by the stated procedure.

    Tunes NadamW, AdamW and SGD over stated spaces, runs the winner on fresh seeds in both
    frameworks, and writes what came out into the workload's config.yaml.

    \b
    Example:
        gradathlon set-targets lm-toy-v1 -o runs/targets-lm-toy
    """
    from suite import targets

    targets.set_targets(**options)
