"""`gradathlon check`."""

from __future__ import annotations

import click

from cluster import conformance
from submissions.source import find


@click.command()
@click.argument("submission", metavar="NAME|FILE.py")
@click.option(
    "workload",
    "-w",
    "--workload",
    default="homeostatic-toy-v2",
    show_default=True,
    metavar="ID",
    help="The workload whose model and batches it is tried on; no data are needed.",
)
@click.pass_context
def check(ctx: click.Context, /, submission: str, workload: str) -> None:
    """Tell what would go wrong with a submission in a race.

    Tries it on a few batches of random values. Prints one line a finding. Exit code 1 if any of
    them is bad.

    \b
    Example:
        gradathlon check my_opt.py
    """
    findings = conformance.check(find(submission), workload_id=workload)
    for finding in findings:
        mark = "ok  " if finding.ok else "FAIL"
        detail = f": {finding.detail}" if finding.detail else ""
        click.echo(f"{mark}  {finding.title}{detail}")
    ctx.exit(0 if all(finding.ok for finding in findings) else 1)
