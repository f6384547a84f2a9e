"""`gradathlon try`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

import cluster
import workloads
from cluster.node_data import fetch_once
from cluster.spec import TrialSpec
from scoring.ground.documents import ConfigError
from scoring.ground.ends import ENDS
from scoring.ground.words import Budget, Point, Resources
from scoring.records import Evaluation, Record
from submissions.source import Source, find
from suite.commands import Option, Options
from suite.commands.racing_options import holding_options
from suite.live import display
from suite.points import stated_point
from suite.text_table import columns
from suite.trials import record_of
from workloads.metric import DIAGNOSTICS


@click.command(name="try")
@click.argument("workload", metavar="WORKLOAD")
@click.argument("submission", metavar="NAME|PATH")
@click.option(
    "--steps",
    type=click.IntRange(1, 10**9),
    default=300,
    show_default=True,
    metavar="N",
    help="Training steps.",
)
@click.option(
    "points",
    "-p",
    "--point",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a hyperparameter. Repeat for several.",
)
@holding_options
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Seed of weights and batches.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the trial's record in DIR.",
)
@click.pass_context
def try_(ctx: click.Context, /, workload: str, submission: str, **options: Option) -> None:
    """Train for some steps, without a target, and print the metrics.

    Runs one trial, in this process, on real data. Prints the metrics of every evaluation, and the
    step time with its spread. Works for workloads that have no target yet.

    \b
    Examples:
        gradathlon try lm-toy-v2 my_opt.py -p lr=0.01
        gradathlon try lm-standard-v2 adamw --steps 500 --cores 8 --gpus 1
    """
    source, chosen = find(submission), workloads.get(workload)
    point = stated_point(source, options["points"])
    folder: Path | None = options["output"]
    if folder is not None and (folder / "trials").exists():
        raise ConfigError(f"{folder}: already holds trials; choose another folder with -o")
    fetch_once(chosen)
    with tempfile.TemporaryDirectory() as scratch:
        record = _train(source, workload, point, (folder or Path(scratch)).absolute(), options)
    _show(record, chosen.metric.key)
    outcome = record.outcome
    failed = outcome is None or ENDS[outcome.end].fails_run
    if outcome is not None and ENDS[outcome.end].broken:
        click.echo(f"{outcome.end}: {outcome.reason}", err=True)
    ctx.exit(1 if failed else 0)


def _train(
    source: Source,
    workload: str,
    point: Point,
    folder: Path,
    options: Options,
) -> Record:
    spec = TrialSpec(
        run=folder,
        workload=workload,
        submission=source.name,
        source=source,
        hyperparameters=point,
        study=0,
        trial=0,
        seed=options["seed"],
        target=None,
        budget=Budget(options["steps"], 1e9),
        resources=Resources(options["cores"], options["gpus"]),
        ruleset="try",
    )
    with display([spec]) as shown:
        for finished in cluster.run_all([spec], executor="in_process", watch=shown.update):
            shown.finish(finished)
    return record_of(spec)


def _show(record: Record, judged: str) -> None:
    if record.evaluations:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        table, hidden = measured(record.evaluations, judged, width)
        click.echo(table)
        if hidden:
            click.echo(f"{hidden} more columns in a file or pipe", err=True)
    facts = record.outcome.extra if record.outcome else {}
    for name, value in facts.get("test", {}).items():
        click.echo(f"{name} {value:.5g}")
    if "step_s_median" in facts:
        step, low, high = (facts[f"step_s_{name}"] * 1e3 for name in ("median", "p10", "p90"))
        click.echo(f"a step: {step:.3g} ms (p10 {low:.3g}, p90 {high:.3g})")


def measured(evaluations: Sequence[Evaluation], judged: str, width: int | None) -> tuple[str, int]:
    """The table of what was measured, and how many metrics had no room in `width` characters.

    The judged metric comes first, and is there however narrow the table.
    """
    found = dict.fromkeys(name for line in evaluations for name in line.metrics)
    names = [name for name in found if not name.startswith(DIAGNOSTICS)]
    names.sort(key=lambda name: (name != judged, name != "train/loss"))
    for count in range(len(names), 0, -1):
        shown = names[:count]
        rows = [
            (
                str(line.steps),
                f"{line.wall_s:.2f} s",
                *(f"{line.metrics[name]:.5g}" if name in line.metrics else "" for name in shown),
            )
            for line in evaluations
        ]
        table = columns(("steps", "clock", *shown), rows)
        if width is None or max(map(len, table.splitlines())) <= width:
            break
    return table, len(names) - count
