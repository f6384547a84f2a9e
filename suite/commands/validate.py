"""`gradathlon validate`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suite.run_folder import RunFolder

if TYPE_CHECKING:
    from scoring.records import Record


@click.command()
@click.argument("runs", nargs=-1, required=True, type=RunFolder(), metavar="RUN|URL...")
@click.pass_context
def validate(ctx: click.Context, runs: tuple[Path, ...]) -> None:
    """List the records of runs that are invalid, or were not planned.

    Prints one line per problem, with file and line. Exit code 1 if there is any. A board leaves
    such a record out and counts its trial as missed. Also reports what a submission opened outside
    of its folder, started, connected to or inspected. That is for a reviewer to judge, and counts
    as no problem.

    \b
    Examples:
        gradathlon validate runs/first
    """
    from scoring.agreement import divided
    from scoring.claims import read_claims

    problematic = False
    for run in runs:
        claims = read_claims(run, afresh=True)
        problems = [one.reason for one in claims.refused]
        problems += [
            f"{run}: planned, but no record: {key.workload} {key.submission} "
            f"study {key.study} trial {key.trial}"
            for key in claims.missing
        ]
        problems += divided(claims.records).values()
        for line in problems:
            click.echo(line)
        problematic = problematic or bool(problems)
        for line in audited(claims.records):
            click.echo(line, err=True)
        verdict = f"{len(claims.records)} valid records, {len(problems)} problems"
        click.echo(f"{run}: {verdict}", err=True)
    if problematic:
        ctx.exit(1)


def audited(records: Iterable[Record]) -> Iterator[str]:
    """A line a submission: what its trials' own audit noted."""
    noted: dict[str, dict[str, None]] = {}
    for record in records:
        trail = record.outcome.extra.get("audit") if record.outcome else None
        for entry in trail if isinstance(trail, list) else []:
            noted.setdefault(record.header.submission, {})[str(entry)] = None
    for name, entries in noted.items():
        yield f"{name} needs review: {'; '.join(entries)}"
