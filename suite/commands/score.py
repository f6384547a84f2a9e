"""`gradathlon score`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--protocol",
    type=click.Choice(["gradathlon", "algoperf"]),
    default="gradathlon",
    show_default=True,
    help="gradathlon: time compared to the tuned reference of the same framework, with intervals. "
    "algoperf: compared to the best submission, as on the published leaderboards.",
)
@click.option(
    "--clock",
    type=click.Choice(["wall", "cpu", "steps"]),
    help="What counts as time; the run's own clock unless given.",
)
@click.option(
    "form",
    "--format",
    type=click.Choice(["table", "json", "csv", "markdown"]),
    default="table",
    show_default=True,
)
@click.option(
    "--across-frameworks",
    is_flag=True,
    help="Compare raw times of torch and jax to the faster framework's reference.",
)
@click.option(
    "--mix-hardware",
    is_flag=True,
    help="Score seconds that were measured on unequal hardware all the same.",
)
@click.option(
    "--held-out",
    is_flag=True,
    help="With --protocol algoperf: a workload X+variant decides whether X counts.",
)
def score(runs: tuple[Path, ...], form: str, **options: Any) -> None:
    """Compute the leaderboard of runs from their records.

    \b
    Examples:
        gradathlon score runs/first
        gradathlon score runs/mine runs/theirs --clock steps --format csv > board.csv
    """
    from scoring import board, tables

    write = {
        "table": tables.terminal,
        "json": tables.json,
        "csv": tables.csv,
        "markdown": tables.markdown,
    }[form]
    click.echo(write(board.compute(runs, **options)).rstrip("\n"))
