"""`gradathlon export`."""

from __future__ import annotations

from pathlib import Path

import click

from suite.run_folder import RunFolder


@click.command()
@click.argument("runs", nargs=-1, required=True, type=RunFolder(), metavar="RUN|URL...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="FILE.parquet or FILE.csv.",
)
@click.option(
    "--table",
    type=click.Choice(["trials", "evaluations"]),
    default="trials",
    show_default=True,
    help="trials: one row per trial. evaluations: one row per metric of each evaluation.",
)
def export(runs: tuple[Path, ...], output: Path, table: str) -> None:
    """Write runs' trials or evaluations as one table, for pandas, R or a spreadsheet.

    \b
    Examples:
        gradathlon export runs/first -o trials.parquet
        gradathlon export runs/first runs/second --table evaluations -o curves.csv
    """
    from scoring import export as tables

    rows = tables.export(runs, "trials" if table == "trials" else "evaluations", output)
    click.echo(f"{output}: {rows:,} rows", err=True)
