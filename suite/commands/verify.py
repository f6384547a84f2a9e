"""`gradathlon verify`."""

from __future__ import annotations

from pathlib import Path

import click

from suite.run_folder import RunFolder


@click.command()
@click.argument("run", type=RunFolder(weights=True), metavar="RUN|URL")
@click.option(
    "--rerun",
    type=click.IntRange(1, 10**9),
    metavar="N",
    help="Also race the N best submissions of the board again, on fresh seeds, in RUN-again.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    help="With --rerun: base of the fresh seeds; default: drawn at random.",
)
@click.pass_context
def verify(ctx: click.Context, /, run: Path, rerun: int | None, seed: int | None) -> None:
    """Evaluate the weights at a run's hits again, without the submissions.

    Each trial that reached its target left its judged weights next to its record. This command
    evaluates them and compares every metric with the record. A metric of the training stream cannot
    be measured again, but metrics on held-out data can. Prints one line per difference. Exit code 1
    if there is any, or if a submission raced again misses a target that it met before.

    \b
    Examples:
        gradathlon verify runs/first
        gradathlon verify runs/first --rerun 3
    """
    from suite import verification

    if seed is not None and rerun is None:
        raise click.UsageError("--seed needs --rerun; add it")
    wrong = verification.differences(run, needed=rerun is None)
    for line in wrong:
        click.echo(line)
    code = 1 if wrong else 0
    if rerun is not None:
        code = max(code, verification.rerun(run, rerun, seed))
    ctx.exit(code)
