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
    metavar="ID",
    help="Only the model and batches of this workload; no data are needed.",
)
@click.option("--quick", is_flag=True, help="One family's shapes in place of all.")
@click.pass_context
def check(ctx: click.Context, /, submission: str, workload: str | None, quick: bool) -> None:
    """Tell what would go wrong with a submission in a race.

    Tries it on a few batches of random values, on one family closely and on the shapes of all
    others briefly. Prints one line a finding. Exit code 1 if any of them is bad.

    \b
    Example:
        gradathlon check my_opt.py
    """
    every = [conformance.DEFAULT_WORKLOAD] if quick else conformance.default_workloads()
    findings = conformance.check(find(submission), [workload] if workload else every)
    for finding in findings:
        mark = "ok  " if finding.ok else "FAIL"
        detail = f": {finding.detail}" if finding.detail else ""
        click.echo(f"{mark}  {finding.title}{detail}")
    ctx.exit(0 if all(finding.ok for finding in findings) else 1)
