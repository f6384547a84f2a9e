"""`gradathlon lifelong`."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from scoring.records import Record, RecordError, read_run
from suite.run_folder import RunFolder
from suite.text_table import columns
from workloads.lifelong.grounds import grounded
from workloads.lifelong.l2log import export
from workloads.lifelong.measures import Measures, Scenario, alone, measure, scenario


@dataclasses.dataclass(frozen=True)
class _Row:
    """A trial with what can be told of it, and why the rest cannot."""

    record: Record
    measures: Measures
    reasons: Mapping[str, str]

    @property
    def name(self) -> str:
        return "/".join((self.record.header.submission, *_numbers(self.record)))


@click.command()
@click.argument("run", type=RunFolder(), metavar="RUN|URL")
@click.option(
    "--expert",
    type=RunFolder(),
    metavar="RUN|URL",
    help="Trials of the same submission on the `+expert` variant, for the last two measures.",
)
@click.option(
    "--export",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also write every trial to DIR as an l2logger log.",
)
@click.option(
    "form",
    "--format",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="Output format.",
)
def lifelong(run: Path, expert: Path | None, folder: Path | None, form: str) -> None:
    """Measure what lifelong learners retained and transferred, with the measures of l2metrics.

    Each measure is a mean over tasks:

    \b
    - maintenance: points of 100, negative if something was forgotten
    - forward and backward transfer: ratio above 1 or contrast above 0 if
      learning one task helped another
    - relative performance and sample efficiency, against a single-task
      expert: 1 is as good

    Measures without enough data are left out, with the reason. If a submission has several trials,
    their mean is shown as well, with its standard error. JSON also has measures by task.

    \b
    Examples:
        gradathlon try lifelong-toy-v3 adamw --steps 3000 -o runs/all
        gradathlon try lifelong-toy-v3+expert adamw --steps 600 -o runs/alone
        gradathlon lifelong runs/all --expert runs/alone --export logs
    """
    experts: dict[str, list[tuple[float, ...]]] = {}
    for record, scene in _scenarios(expert) if expert else []:
        experts.setdefault(record.header.submission, []).append(alone(scene))
    scenarios = _scenarios(run)
    rows = []
    for record, scene in scenarios:
        own = experts.get(record.header.submission, [])
        rows.append(_Row(record, *grounded(scene, measure(scene, own), own)))
    if folder is not None:
        for record, scene in scenarios:
            header = record.header
            name = "-".join((header.workload, header.submission, *_numbers(record)))
            export(scene, header, folder / name)
    for line in _left_out(rows):
        click.echo(line, err=True)
    click.echo({"table": _table, "json": _json, "csv": _csv}[form](rows).rstrip("\n"))


def _left_out(rows: Sequence[_Row]) -> list[str]:
    """One line a measure and reason, with the trials; what holds for all is told once."""
    names: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for one in row.reasons.items():
            names.setdefault(one, []).append(row.name)
    return [
        f"{'all trials' if len(of) == len(rows) > 1 else ', '.join(of)}: no {measure}: {reason}"
        for (measure, reason), of in names.items()
    ]


def _scenarios(run: Path) -> list[tuple[Record, Scenario]]:
    """The trials that can be told of; of the others, one line each.

    Raises:
        RecordError: there is none.
    """
    records = [one for one in read_run(run) if one.header.workload.startswith("lifelong-")]
    told: list[tuple[Record, Scenario]] = []
    reasons = []
    for record in records:
        try:
            told.append((record, scenario(record)))
        except RecordError as error:
            reasons.append(str(error))
    if not told:
        raise RecordError(reasons[0] if reasons else f"{run}: no trial of the lifelong family")
    for reason in reasons:
        click.echo(f"skipped: {reason}", err=True)
    return told


def _numbers(record: Record) -> tuple[str, str]:
    return f"study{record.header.study}", f"trial{record.header.trial}"


def _facts(record: Record) -> dict[str, object]:
    names = ("workload", "submission", "framework", "study", "trial")
    return {name: getattr(record.header, name) for name in names}


def _table(rows: list[_Row]) -> str:
    """Trials as columns, and submissions with several: there are more measures than trials."""
    heads = [row.name for row in rows]
    cells = [{n: _cell(v) for n, v in row.measures.lifetime().items()} for row in rows]
    groups: dict[str, list[_Row]] = {}
    for row in rows:
        head = f"{row.record.header.workload}/{row.record.header.submission}"
        groups.setdefault(head, []).append(row)
    for head, group in groups.items():
        if len(group) > 1:
            heads.append(f"{head}, mean of {len(group)}")
            cells.append(_mean(group))
    body = [(name, *(one[name] for one in cells)) for name in cells[0]]
    return columns(("measure", *heads), body)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _mean(group: list[_Row]) -> dict[str, str]:
    """Each measure's mean over trials and its standard error; "-" where one trial lacks it."""
    lifetimes = [row.measures.lifetime() for row in group]
    means = {}
    for name in lifetimes[0]:
        values = [one[name] for one in lifetimes]
        present = [value for value in values if value is not None]
        if len(present) < len(values):
            means[name] = "-"
            continue
        error = statistics.stdev(present) / math.sqrt(len(present))
        means[name] = f"{statistics.fmean(present):.4g} +- {error:.2g}"
    return means


def _json(rows: list[_Row]) -> str:
    entries = [
        _facts(row.record)
        | {"lifetime": row.measures.lifetime(), "tasks": dataclasses.asdict(row.measures)}
        | {"left_out": dict(row.reasons)}
        for row in rows
    ]
    return json.dumps(entries, indent=2)


def _csv(rows: list[_Row]) -> str:
    lines = [_facts(row.record) | row.measures.lifetime() for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
