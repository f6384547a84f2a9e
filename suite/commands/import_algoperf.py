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
    help="The run's folder to write.",
)
@click.option(
    "--reference",
    metavar="NAME",
    help="The submission that becomes its framework's reference: `baseline` in version 0.5.",
)
def import_algoperf(logs: Path, output: Path, reference: str | None) -> None:
    """Write published AlgoPerf logs as a run's records.

    LOGS holds a folder a submission, as SUBMISSION/study_0/WORKLOAD_FRAMEWORK/trial_1. Score the
    run as the published leaderboards do, with held-out variants for version 0.5; or, with a
    reference, under the gradathlon protocol, with intervals and rank sets. Left out are variants
    without a published target, which count on no leaderboard.

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
