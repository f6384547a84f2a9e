"""`gradathlon gate`."""

from __future__ import annotations

from pathlib import Path

import click

from scoring import board
from suite import gate as comparison
from suite.remote import RunFolder


@click.command()
@click.argument("runs", nargs=-1, required=True, type=RunFolder(), metavar="RUN...")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="A board kept from an earlier run: `score --clock steps --format json`.",
)
@click.option(
    "--slack",
    type=click.FloatRange(min=0, max=100),
    default=0.0,
    show_default=True,
    metavar="PERCENT",
    help="What may be lost. Steps are exact on one class of CPU; on others allow some percent.",
)
@click.pass_context
def gate(ctx: click.Context, /, runs: tuple[Path, ...], baseline: Path, slack: float) -> None:
    """Fail when a score fell or a target takes more steps than in a kept board.

    Compares on the steps clock, which a busy machine does not move. Prints what got worse as
    Markdown. Exit code 1 if anything did.

    \b
    Examples:
        gradathlon score runs/ci --clock steps --format json > scores.json
        gradathlon gate runs/ci --baseline scores.json
    """
    kept = comparison.read_baseline(baseline)
    computed = board.compute(runs, protocol=kept.protocol, clock="steps")
    changes = comparison.compare(computed, kept, slack / 100)
    click.echo(comparison.markdown(changes, slack / 100))
    ctx.exit(1 if any(change.worse for change in changes) else 0)
