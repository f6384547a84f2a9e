"""`gradathlon score`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from suite.commands import Option
from suite.commands.board_options import board_options, refuse_board_options
from suite.run_folder import RunFolder
from suite.text_table import wrapped


@click.command()
@click.argument("runs", nargs=-1, required=True, type=RunFolder(), metavar="RUN|URL...")
@board_options
@click.option(
    "form",
    "--format",
    type=click.Choice(["table", "json", "csv", "markdown", "trials"]),
    default="table",
    show_default=True,
    help="Output format; trials: a CSV table of every trial instead of the board.",
)
@click.option(
    "--more",
    is_flag=True,
    help="Also print how much the board depends on single workloads and on how far the targets "
    "lie.",
)
@click.option(
    "--costs",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.json",
    help="Also print projected scores: the race's steps at the costs that `step-cost -o` measured.",
)
def score(
    runs: tuple[Path, ...], form: str, more: bool, costs: Path | None, **options: Option
) -> None:
    """Compute the leaderboard of runs from their records.

    \b
    Examples:
        gradathlon score runs/first
        gradathlon score runs/first --more
        gradathlon score runs/first --costs costs.json
        gradathlon score runs/mine runs/theirs --clock steps --format csv > board.csv
    """
    from scoring import board, frame, projection, robustness
    from scoring.report import tables

    if form == "trials" and (more or costs):
        raise click.UsageError("--more and --costs need a board; leave --format trials out")
    if form == "trials":
        refuse_board_options("--format trials has every trial's times on all clocks")
    known = None if costs is None else projection.read_costs(costs)
    gathered = frame.gather(runs)
    if form == "trials":
        click.echo(gathered.trials.to_csv(index=False).rstrip("\n"))
        return
    write = {
        "table": tables.terminal,
        "json": tables.json,
        "csv": tables.csv,
        "markdown": tables.markdown,
    }[form]
    computed = board.compute_from(gathered, **options)
    beneath = list(robustness.told(computed, gathered.records)) if more else []
    if known is not None:
        beneath += projection.told(board.compute_from(gathered, clock="steps"), known)
    click.echo(write(computed).rstrip("\n"))
    stream = sys.stdout if form == "table" else sys.stderr
    for line in beneath:
        click.echo(wrapped(line, stream), stream)
