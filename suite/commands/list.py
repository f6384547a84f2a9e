"""`gradathlon list`."""

from __future__ import annotations

from collections.abc import Iterator

import click

import workloads
from submissions import source
from suite import config
from suite.columns import columns


@click.command(name="list")
@click.argument("what", type=click.Choice(["workloads", "submissions", "suites"]))
def list_(what: str) -> None:
    """List workloads, submissions or suites.

    One a line: what there is to race on, to race, and to run.

    \b
    Examples:
        gradathlon list workloads
        gradathlon list submissions
        gradathlon list suites
    """
    head, rows = {"workloads": _workloads, "submissions": _submissions, "suites": _suites}[what]()
    click.echo(columns(head, list(rows)))


Listing = tuple[tuple[str, ...], Iterator[tuple[str, ...]]]


def _workloads() -> Listing:
    def rows() -> Iterator[tuple[str, ...]]:
        for id in workloads.ids():
            workload = workloads.get(id)
            race = workload.race
            sign = "<=" if workload.metric.goal == "min" else ">="
            target = f"{workload.metric.key} {sign} {race.target:g}" if race else "no target yet"
            budget = f"{race.budget.steps} / {race.budget.seconds:g} s" if race else ""
            yield id, target, budget, workloads.family(workload.id.family).title(workload.id)

    return ("workload", "target", "budget", "what it is"), rows()


def _submissions() -> Listing:
    def rows() -> Iterator[tuple[str, ...]]:
        for name in source.shipped():
            found = source.find(name)
            yield name, found.framework, "built in", found.summary
        for name in source.installed():
            found = source.find(name)
            yield name, found.framework, "installed", found.summary

    return ("submission", "framework", "from", "what it is"), rows()


def _suites() -> Listing:
    def rows() -> Iterator[tuple[str, ...]]:
        for name in config.shipped():
            suite = config.load(name).suite
            shape = f"{suite.studies} x {suite.trials} trials" if suite.trials > 1 else "defaults"
            yield name, suite.ruleset, shape, suite.clock, suite.title

    return ("suite", "ruleset", "tuning", "clock", "what it is"), rows()
