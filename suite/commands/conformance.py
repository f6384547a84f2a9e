"""`gradathlon conformance`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

import workloads
from cluster.checks.cells import CHECK, Cell, cells, make_ready
from cluster.checks.conformance import default_workloads
from cluster.node_data import fetch_all
from cluster.run_lock import drive
from scoring.ground.files import write_whole
from submissions.source import Source, find, shipped
from suite.commands import Option
from suite.conformance import TABLE, Kept, Row, table

LEAST, MOST = 2, 10**9
"""Steps, with a checkpoint between them."""


@click.command()
@click.argument("submissions", nargs=-1, metavar="[NAME|PATH]...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Folder for the results. What it already has is not tested again.",
)
@click.option(
    "chosen",
    "-w",
    "--workload",
    multiple=True,
    metavar="ID[=N]",
    help="Only this workload, with N steps. Repeat for several. Default: every toy family.",
)
@click.option(
    "--steps",
    type=click.IntRange(LEAST, MOST),
    default=100,
    show_default=True,
    metavar="N",
    help="Steps per short trial.",
)
@click.option("--no-check", is_flag=True, help="Run only the short trials.")
@click.option("--retry", is_flag=True, help="Also test again what was not ok.")
def conformance(submissions: tuple[str, ...], output: Path, **options: Option) -> None:
    """Try every submission on every toy family: one table of what works where.

    Each submission is checked as by `check --quick`. Then, on each family, it trains for a few
    steps on real data and is evaluated. It is also killed half-way, continues from its checkpoint,
    and must end at the same weights, bit for bit. Prints a Markdown table, also written to
    DIR/table.md. DIR/rows.jsonl has one line per cell. Cells that are there are not tested again,
    so the command may be stopped and repeated, also with other submissions. Uses one core; shows
    progress on stderr.

    \b
    Examples:
        gradathlon conformance -o conformance
        gradathlon conformance adamw my_opt.py -o conformance -w lm-toy-v2 -w climate-toy-v2=10
    """
    sources = [find(word) for word in submissions or shipped()]
    steps = {} if options["no_check"] else {CHECK: 0}
    steps |= _steps(options["chosen"] or default_workloads(), options["steps"])
    with drive(output):  # two would each write over what the other was told
        store = Kept(output)
        questions = [
            (source, {name: steps[name] for name in missing})
            for source in sources
            if (missing := store.missing(source.name, source.sha256, steps, retry=options["retry"]))
        ]
        wanted = {id for _, unanswered in questions for id in unanswered}
        trained = [id for id in steps if id != CHECK and id in wanted]
        fetch_all(trained)
        make_ready(trained)
        _ask(questions, store)
        text = table(store.rows(), [CHECK, *default_workloads(), *_others(store)])
        write_whole(output / TABLE, text)
    click.echo(text, nl=False)


def _steps(words: Sequence[str], usual: int) -> dict[str, int]:
    """Workloads with the steps to make on each."""
    steps = {}
    for word in words:
        id, separator, count = word.partition("=")
        workloads.get(id)
        if separator and not (
            count.isdecimal() and len(count) <= len(str(MOST)) and LEAST <= int(count) <= MOST
        ):
            raise click.UsageError(
                f"-w {word[:80]}: {count[:40]!r} is not a number of steps; use {LEAST} to {MOST}"
            )
        steps[id] = int(count or usual)
    return steps


def _others(store: Kept) -> list[str]:
    usual = {CHECK, *default_workloads()}
    return list(dict.fromkeys(r.cell.asked for r in store.rows() if r.cell.asked not in usual))


def _ask(questions: Sequence[tuple[Source, dict[str, int]]], store: Kept) -> None:
    """Answer what is missing, and keep each answer as it comes."""
    count = sum(len(steps) for _, steps in questions)
    shown = sys.stderr.isatty()
    done = 0
    with click.progressbar(length=count, file=sys.stderr, show_pos=True, hidden=not shown) as bar:
        for source, steps in questions:
            for cell in cells(source, steps):
                store.add(Row(source.name, source.framework, source.sha256, cell))
                done += 1
                bar.update(1)
                if not shown:
                    click.echo(f"[{done}/{count}] {source.name} {_line(cell)}", err=True)


def _line(cell: Cell) -> str:
    return f"{cell.asked}: {'ok' if cell.ok else cell.told}"
