"""`gradathlon check`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

import workloads
from cluster.checks import conformance
from cluster.checks.conformance import Finding
from cluster.checks.workload_check import check_workload
from cluster.process import set_environment
from scoring.ground.errors import nearest
from scoring.ground.words import Resources
from submissions.contract import SubmissionError
from submissions.source import Source, find, installed, is_path, shipped


@click.command()
@click.argument("submission", metavar="NAME|PATH|WORKLOAD")
@click.option(
    "workload",
    "-w",
    "--workload",
    metavar="ID",
    help="Use only the model and batches of this workload; no data are needed.",
)
@click.option("--quick", is_flag=True, help="Use the shapes of one family instead of all.")
@click.pass_context
def check(ctx: click.Context, /, submission: str, workload: str | None, quick: bool) -> None:
    """Find what would go wrong with a submission, or a workload, in a race.

    A submission is tried on a few batches of random values: thoroughly on one family, briefly on
    the shapes of all others. For a workload, its data are fetched; the checks are whether torch and
    JAX are one model, and whether its stream continues exactly and owns its batches. Prints one
    line per finding. Exit code 1 if any is bad.

    \b
    Examples:
        gradathlon check my_opt.py
        gradathlon check lm-toy-v2
    """
    if submission in workloads.ids():
        if workload or quick:
            raise click.UsageError(f"{submission} is a workload: it takes no options")
        set_environment(Resources())
        ctx.exit(_told(check_workload(workloads.get(submission))))
    if workload and quick:
        raise click.UsageError("-w or --quick, not both: each names the shapes to try")
    every = [conformance.DEFAULT_WORKLOAD] if quick else conformance.default_workloads()
    source = _submission(submission)
    ctx.exit(_told(conformance.check(source, [workload] if workload else every)))


def _told(findings: Iterable[Finding]) -> int:
    """Print them as they come; the exit code."""
    code = 0
    for finding in findings:
        mark = "ok  " if finding.ok else "FAIL"
        detail = f": {finding.detail}" if finding.detail else ""
        click.echo(f"{mark}  {finding.title}{detail}")
        code = code if finding.ok else 1
    return code


def _submission(word: str) -> Source:
    """The submission of that name or path; the nearest word may be a workload's."""
    try:
        return find(word)
    except SubmissionError:
        names = [*shipped(), *installed()]
        a_path = is_path(word) or Path(word).exists()
        if a_path or word in names or Path(f"{word}.py").exists():
            raise
        hint = nearest(word, [*names, *workloads.ids()])
        raise SubmissionError(f"unknown submission or workload {word!r}{hint}") from None
