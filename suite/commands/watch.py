"""`gradathlon watch`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from cluster.run_lock import seal
from cluster.spec import Finished, Update
from scoring.run_file import read as read_file
from suite import run_file
from suite.columns import columns
from suite.live import display, duration, summary
from suite.progress import Progress
from suite.watching import Follower, seconds_since_start

PERIOD_S = 2.0


@click.command()
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option("--once", is_flag=True, help="Print where the run stands, and stop.")
def watch(run: Path, once: bool) -> None:
    """Show how far a run is, from another terminal or machine.

    Reads the records in RUN, which another process writes, and changes nothing there. It ends with
    the run, or with Ctrl-C.

    \b
    Examples:
        gradathlon watch runs/mine
        gradathlon watch runs/mine --once
    """
    specs = run_file.read(run).specs(run)
    file = read_file(run)
    assert file is not None  # or the line above had said so
    follower = Follower(run, specs)
    ago_s = seconds_since_start(file)
    if once:
        _print(run, follower, Progress(specs, ago_s=ago_s))
        return
    with display(specs, ago_s) as shown:
        while True:
            driven = seal(run)
            for news in follower.look():
                if isinstance(news, Finished):
                    shown.finish(news)
                else:
                    shown.update(news)
            if follower.whole or not driven:
                break
            time.sleep(PERIOD_S)
    if not follower.whole:
        click.echo(f"nobody races it now; to go on: gradathlon run --resume -o {run}", err=True)


def _print(run: Path, follower: Follower, progress: Progress) -> None:
    for news in follower.look():
        if isinstance(news, Update):
            progress.update(news)
        else:
            progress.finish(news)
    rows = [
        (
            spec.workload,
            spec.submission,
            f"{spec.study}.{spec.trial}",
            f"{news.steps}/{spec.budget.steps}",
            "" if news.metric is None else f"{news.metric:.4g}",
            duration(news.wall_s),
        )
        for spec, news in progress.running()
    ]
    click.echo(summary(progress))
    if rows:
        click.echo(columns(("workload", "submission", "trial", "step", "metric", "clock"), rows))
    if not follower.whole and not seal(run):
        click.echo(f"nobody races it now; to go on: gradathlon run --resume -o {run}", err=True)
