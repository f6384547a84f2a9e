"""`gradathlon report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default="report.html",
    show_default=True,
    help="The page to write.",
)
@click.option(
    "--protocol",
    type=click.Choice(["gradathlon", "algoperf"]),
    default="gradathlon",
    show_default=True,
)
@click.option("--clock", type=click.Choice(["wall", "cpu", "steps"]), help="What counts as time.")
def report(runs: tuple[Path, ...], output: Path, **options: Any) -> None:
    """Write one self-contained HTML page about runs.

    The board with intervals, performance profiles, the metric of every trial against the clock,
    and every trial with its hyperparameters and its end. The page needs no network.

    \b
    Example:
        gradathlon report runs/first -o report.html
    """
    from scoring import page
    from workloads.yaml_config import ConfigError

    try:
        page.write_page(runs, output, **options)
    except OSError as error:
        raise ConfigError(f"{output}: cannot be written: {error.strerror or error}") from None
    click.echo(str(output))
