"""`gradathlon lifelong`."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import click

from scoring.records import Record, RecordError, read_run
from suite.columns import columns
from workloads.lifelong.l2log import export
from workloads.lifelong.measures import curve, measure, scenario


@click.command()
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option(
    "--expert",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Trials of the same submission on `+expert`, for the last two measures.",
)
@click.option(
    "--export",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also write every trial there as a log of l2logger.",
)
@click.option(
    "form",
    "--format",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
)
def lifelong(run: Path, expert: Path | None, folder: Path | None, form: str) -> None:
    """Tell what lifelong learners kept and carried over, by the measures of l2metrics.

    A row is a trial of the lifelong family, a measure its mean over tasks: maintenance (points of
    100, negative where something was forgotten), forward and backward transfer (ratio above 1 or
    contrast above 0 where learning one task helped another), and, against a single-task expert,
    relative performance and sample efficiency (1: as good). JSON has them by task, too.

    \b
    Example:
        gradathlon try lifelong-toy-v1 adamw --steps 3000 -o runs/all
        gradathlon try lifelong-toy-v1+expert adamw --steps 1000 -o runs/alone
        gradathlon lifelong runs/all --expert runs/alone --export logs
    """
    records = _trials(run)
    experts: dict[str, list[tuple[float, ...]]] = {}
    for record in _trials(expert) if expert else []:
        experts.setdefault(record.header.submission, []).append(curve(scenario(record), "task00"))
    rows = []
    for record in records:
        found, header = scenario(record), record.header
        rows.append((record, measure(found, experts.get(header.submission, ()))))
        if folder is not None:
            name = "-".join((header.workload, header.submission, *_numbers(record)))
            export(found, header, folder / name)
    click.echo({"table": _table, "json": _json, "csv": _csv}[form](rows).rstrip("\n"))


def _trials(run: Path) -> list[Record]:
    found = [one for one in read_run(run) if one.header.workload.startswith("lifelong-")]
    if not found:
        raise RecordError(f"{run}: holds no trial of the lifelong family")
    return found


def _numbers(record: Record) -> tuple[str, str]:
    return f"study{record.header.study}", f"trial{record.header.trial}"


def _facts(record: Record) -> dict[str, object]:
    names = ("workload", "submission", "framework", "study", "trial")
    return {name: getattr(record.header, name) for name in names}


def _table(rows: list[tuple[Record, Any]]) -> str:
    """Trials as columns: there are more measures than trials to look at."""
    heads = ["/".join((record.header.submission, *_numbers(record))) for record, _ in rows]
    values = [measures.lifetime() for _, measures in rows]
    body = [
        (name, *("" if one[name] is None else f"{one[name]:.4g}" for one in values))
        for name in values[0]
    ]
    return columns(("measure", *heads), body)


def _json(rows: list[tuple[Record, Any]]) -> str:
    told = [
        _facts(record) | {"lifetime": measures.lifetime(), "tasks": dataclasses.asdict(measures)}
        for record, measures in rows
    ]
    return json.dumps(told, indent=2)


def _csv(rows: list[tuple[Record, Any]]) -> str:
    lines = [_facts(record) | measures.lifetime() for record, measures in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
