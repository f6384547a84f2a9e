"""`gradathlon watch`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from cluster.run_lock import is_driven
from cluster.spec import Finished, Update
from scoring.run_file import read as read_file
from suite import kept_plan
from suite.live import display, duration, summary
from suite.progress import Progress
from suite.remote import Driver, fetched
from suite.run_folder import is_url
from suite.text_table import columns
from suite.watching import Follower, seconds_since_start

PERIOD_S = 2.0
URL_PERIOD_S = 15.0


@click.command()
@click.argument("word", metavar="RUN|URL")
@click.option("--once", is_flag=True, help="Print the current state of the run, and exit.")
@click.pass_context
def watch(ctx: click.Context, /, word: str, once: bool) -> None:
    """Show how far a run is, from another terminal or machine.

    Reads the records that another process writes to RUN, or that `run -o URL` or `--copy-to URL`
    stores at URL, and changes nothing. It stops with the run, or with Ctrl-C. Exit code 1 if
    no process races the run and trials are missing, also with --once. A run at a URL counts as
    abandoned after two and a half minutes without a sign of life.

    \b
    Examples:
        gradathlon watch runs/mine
        gradathlon watch runs/mine --once
        gradathlon watch s3://bucket/runs/mine
    """
    run = fetched(word) if is_url(word) else Path(word)
    specs = kept_plan.read(run).specs(run)
    file = read_file(run)
    assert file is not None  # or the line above had said so
    follower = Follower(run, specs)
    ago_s = seconds_since_start(file)
    if once:
        _print(follower, Progress(specs, ago_s=ago_s))
        if not follower.whole and not _driven(word, run):
            click.echo(_left_alone(word), err=True)
            ctx.exit(1)
        return
    with display(specs, ago_s) as shown:
        while True:
            driven = _driven(word, run)
            for news in follower.look():
                if isinstance(news, Finished):
                    shown.finish(news)
                else:
                    shown.update(news)
            if follower.whole or not driven:
                break
            time.sleep(URL_PERIOD_S if is_url(word) else PERIOD_S)
            if is_url(word):
                fetched(word, grown_only=True)
    if not follower.whole:
        click.echo(_left_alone(word), err=True)
        ctx.exit(1)


def _driven(word: str, run: Path) -> bool:
    """Whether any process races the run now."""
    if not is_url(word):
        return is_driven(run)
    driver = Driver.of(word)
    return driver is not None and driver.lives


def _left_alone(word: str) -> str:
    driver = Driver.of(word) if is_url(word) else None
    silent = f" ({driver.name} has been silent for {duration(driver.silent_s)})" if driver else ""
    return f"not running{silent}; resume with: gradathlon run --resume -o {word}"


def _print(follower: Follower, progress: Progress) -> None:
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
