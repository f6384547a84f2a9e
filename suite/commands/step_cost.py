"""`gradathlon step-cost`."""

from __future__ import annotations

import json
from pathlib import Path

import click

import workloads
from cluster.checks import step_cost as measurement
from cluster.cores import hold_cores
from cluster.process import set_environment
from scoring.ground.documents import ConfigError
from scoring.ground.files import refuse_unwritable, write_whole
from scoring.ground.words import Resources
from scoring.projection import read_costs
from submissions.source import find
from suite.commands.racing_options import holding_options
from suite.races import REFERENCE_IN
from suite.text_table import columns


@click.command(name="step-cost")
@click.argument("submissions", nargs=-1, required=True, metavar="NAME|PATH...")
@click.option(
    "ids",
    "-w",
    "--workload",
    multiple=True,
    required=True,
    metavar="WORKLOAD",
    help="Workload whose shapes to use. Repeat for several; order each family's by rising scale.",
)
@click.option(
    "--rows",
    type=click.IntRange(1, 10**9),
    multiple=True,
    metavar="N",
    help="For large scales: time batches of N and 2 N rows (or, given twice, of both sizes), and "
    "extrapolate to the whole batch.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.json",
    help="Write the costs here, for `score --costs`. An existing file is extended.",
)
@holding_options
def step_cost(
    submissions: tuple[str, ...],
    ids: tuple[str, ...],
    rows: tuple[int, ...],
    output: Path | None,
    **resources: int,
) -> None:
    """Measure what a step costs in steps of the reference, at any scale.

    Times both in turns in this process, at their defaults, on random batches. Steps at toy scale
    say little about a large model: methods that do much work on the weights look expensive there.

    \b
    Examples:
        gradathlon step-cost muon soap -w lm-toy-v2 -w lm-laptop-v2
        gradathlon step-cost muon -w lm-standard-v2 --rows 1 -o costs.json
        gradathlon score runs/first --costs costs.json
    """
    if len(rows) > 2:
        raise click.UsageError("--rows: give it once or twice")
    sources = [find(name) for name in submissions]
    for id in ids:
        workloads.get(id)
    if output is not None:  # before all is timed
        _kept(output)
        refuse_unwritable(output.parent)
    held = Resources(**resources)
    set_environment(held)
    lines = []
    costs: dict[str, dict[str, float]] = {source.name: {} for source in sources}
    with hold_cores(held.cores, lambda: click.echo("waiting for a free core", err=True)):
        for source in sources:
            reference = find(REFERENCE_IN[source.framework])
            cells = []
            for id in ids:
                click.echo(f"timing {source.name} on {id}", err=True)
                cost = measurement.measure(source, reference, id, rows, held)
                cells.append(f"{cost.ratio:.3f} ± {cost.error:.3f}")
                costs[source.name][id] = round(cost.ratio, 4)
            lines.append((source.name, source.framework, *cells))
    click.echo(columns(("submission", "framework", *ids), lines))
    if output is not None:
        kept = _kept(output)  # what another process has added meanwhile stays
        for name, own in costs.items():
            kept[name] = {**kept.get(name, {}), **own}
        try:
            write_whole(output, json.dumps(kept, indent=2) + "\n")
        except OSError as error:
            raise ConfigError(f"{output}: cannot be written: {error.strerror}") from None
        click.echo(str(output), err=True)


def _kept(output: Path) -> dict[str, dict[str, float]]:
    return read_costs(output) if output.exists() else {}
