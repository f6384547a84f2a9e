"""`gradathlon doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from cluster.checks.doctor import Finding, examine
from suite.text_table import columns


@click.command()
@click.option(
    "--address",
    metavar="ADDRESS",
    help="Check every node of this Ray cluster, which this machine is a node of: auto, or "
    "HOST:PORT.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for runs; default: this folder.",
)
@click.pass_context
def doctor(ctx: click.Context, address: str | None, output: Path | None) -> None:
    """Check whether this machine, or a cluster, can race well.

    Prints one line per check: ok, warn (times or speed suffer; what to do) or fail (no race until
    it is fixed). Exit code 1 if a check fails.

    \b
    Examples:
        gradathlon doctor
        gradathlon doctor --address auto
    """
    from cluster.executors.ray_nodes import ask_cluster, ray_here

    failed = False
    if address is None:
        failed |= _show([*examine(output), ray_here()])
    else:
        for reply in ask_cluster(address, examine):
            node = reply.node
            click.echo(f"{node.name}: {node.cores} cores and {node.gpus} accelerators for trials")
            unheard = [Finding("answer", "fail", reply.trouble, "see Ray's logs on that node")]
            failed |= _show(unheard if reply.answer is None else reply.answer)
    if failed:
        ctx.exit(1)


def _show(findings: Sequence[Finding]) -> bool:
    """Print them; whether one is a failure."""
    rows = [
        (one.state, one.check, f"{one.found}; {one.advice}" if one.advice else one.found)
        for one in findings
    ]
    click.echo(columns(("", "check", "found"), rows))
    return any(one.state == "fail" for one in findings)
