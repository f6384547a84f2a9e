"""`gradathlon import-algoperf`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("logs", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Folder of the run to write.",
)
@click.option(
    "--reference",
    metavar="NAME",
    help="Submission to use as its framework's reference: `baseline` in version 0.5.",
)
def import_algoperf(logs: Path, output: Path, reference: str | None) -> None:
    """Convert published AlgoPerf logs to a run's records.

    LOGS has one folder per submission, as SUBMISSION/study_0/WORKLOAD_FRAMEWORK/trial_1. Score the
    run as the published leaderboards do, with held-out variants for version 0.5. With a reference,
    score it under the gradathlon protocol, with intervals and rank sets. Variants without a
    published target are left out; they count on no leaderboard.

    \b
    Examples:
        gradathlon import-algoperf logs/external_tuning -o runs/algoperf
        gradathlon score runs/algoperf --protocol algoperf --held-out
        gradathlon import-algoperf logs/external_tuning -o runs/ranked --reference baseline
        gradathlon score runs/ranked --across-frameworks
    """
    from scoring.algoperf_logs import import_logs

    count, left_out = import_logs(logs, output, reference)
    click.echo(f"{count} trials", err=True)
    if left_out:
        named = ", ".join(f"{name} {trials}" for name, trials in sorted(left_out.items()))
        click.echo(f"skipped trials without a published target: {named}", err=True)
    click.echo(str(output))
