"""`gradathlon list`."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from pathlib import Path

import click

import workloads
from scoring.ground.documents import ConfigError
from submissions import source
from submissions.contract import SubmissionError
from suite import config
from suite.text_table import fitted, markdown


@click.command(name="list")
@click.argument("what", type=click.Choice(["workloads", "submissions", "suites"]))
@click.option(
    "--like", default="*", metavar="PATTERN", help="Only names that match, such as *_jax."
)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a Markdown table.")
def list_(what: str, like: str, as_markdown: bool) -> None:
    """List workloads, submissions or suites.

    Prints one per line: what to race on, what to race, or what to run.

    \b
    Examples:
        gradathlon list workloads --like '*-toy-*'
        gradathlon list submissions
        gradathlon list suites --markdown
    """
    head, listed = {
        "workloads": (_WORKLOADS, _workloads),
        "submissions": (_SUBMISSIONS, _submissions),
        "suites": (_SUITES, _suites),
    }[what]
    rows = list(listed(like))
    if not rows:
        raise ConfigError(f"no {what} match {like!r}; use * as a wildcard: '*{like}*'")
    click.echo(markdown(head, rows) if as_markdown else fitted(head, rows))


_Rows = Iterator[tuple[str, ...]]
_WORKLOADS = ("workload", "parameters", "target", "budget", "what it is")
_SUBMISSIONS = ("submission", "framework", "kind", "hyperparameters", "what it is")
_SUITES = ("suite", "ruleset", "tuning", "clock", "what it is")


def _workloads(like: str) -> _Rows:
    for id in fnmatch.filter(workloads.ids(), like):
        workload = workloads.get(id)
        race = workload.race
        sign = "<=" if workload.metric.goal == "min" else ">="
        target = f"{workload.metric.key} {sign} {race.target:g}" if race else "no target yet"
        budget = f"{race.budget.steps:,} steps, {race.budget.seconds:g} s" if race else ""
        title = workloads.family(workload.id.family).title(workload.id)
        yield id, f"{workload.size:,}", target, budget, title


def _submissions(like: str) -> _Rows:
    names = dict.fromkeys([*source.shipped(), *source.installed()])
    for name in fnmatch.filter(names, like):
        try:
            source_file = source.find(name)
        except SubmissionError as error:  # one package's fault is no reason to list nothing
            yield name, "", "installed", "", f"cannot race: {error}"
            continue
        ours = name in source.shipped()
        kind = Path(source_file.origin).parent.name.replace("_", " ") if ours else "installed"
        yield (
            name,
            source_file.framework,
            kind,
            str(len(source_file.hyperparameters)),
            source_file.summary,
        )


def _suites(like: str) -> _Rows:
    for name in fnmatch.filter(config.shipped(), like):
        suite = config.load(name).suite
        stated = "stated point" if suite.points or suite.points_on else "defaults"
        study = f"{suite.trials} trials" if suite.trials > 1 else stated
        yield name, suite.ruleset, f"{suite.studies} x {study}", suite.clock, suite.title
