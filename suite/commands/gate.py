"""`gradathlon gate`."""

from __future__ import annotations

from pathlib import Path

import click

from suite.commands import Finite
from suite.run_folder import RunFolder


@click.command()
@click.argument("runs", nargs=-1, required=True, type=RunFolder(), metavar="RUN|URL...")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="A board kept from an earlier run, by `score --clock steps --format json`.",
)
@click.option(
    "--slack",
    type=Finite(min=0, max=100),
    default=None,
    metavar="PERCENT",
    help="Loss to accept. Default: none on the baseline's class of CPU, where steps are exact; on "
    "another class, what seeds explain.",
)
@click.pass_context
def gate(
    ctx: click.Context, /, runs: tuple[Path, ...], baseline: Path, slack: float | None
) -> None:
    """Fail if a score is lower, or a target takes more steps, than in a kept board.

    Compares on the steps clock, which a busy machine does not affect. On the baseline's class of
    CPU, one step more is worse; on another class, only more than seeds explain. Prints what got
    worse as Markdown. Exit code 1 if anything did.

    \b
    Examples:
        gradathlon score runs/ci --clock steps --format json > scores.json
        gradathlon gate runs/ci --baseline scores.json
    """
    from scoring import board, frame
    from suite import gate as comparison

    base = comparison.read_baseline(baseline)
    gathered = frame.gather(runs)
    computed = board.compute_from(gathered, protocol=base.protocol, clock="steps")
    if slack is None:
        allowed = comparison.allowance(computed, gathered, base)
    else:
        allowed = comparison.Allowance(slack / 100)
    changes = comparison.compare(computed, base, allowed)
    click.echo(comparison.markdown(changes, allowed))
    if base.unraced:
        told = "; ".join(base.unraced)
        click.echo(f"\nnot compared (no trial in the baseline): {told}")
    ctx.exit(1 if any(change.worse for change in changes) else 0)
