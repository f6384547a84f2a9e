"""What a person sees while trials run: one live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cluster.spec import Finished, TrialSpec, Update
from scoring.ground.clocks import CLOCKS
from scoring.ground.ends import ENDS
from scoring.ground.words import TrialKey
from suite.progress import Progress
from suite.talk import say

PERIOD_S = 30.0
"""Seconds between two summaries in plain lines."""
ROWS = 40
"""Running trials in the table, unless told otherwise."""


class Display(Protocol):
    """What a run reports to."""

    def update(self, news: Update) -> None:
        """News of a running trial, from any thread."""

    def finish(self, finished: Finished) -> None:
        """A trial has ended."""


@contextlib.contextmanager
def display(specs: Sequence[TrialSpec], ago_s: float = 0.0) -> Iterator[Display]:
    """A display on stderr for as long as the block lasts: live on a terminal, else plain lines.

    The run began `ago_s` seconds ago.
    """
    console = Console(stderr=True)
    progress = Progress(specs, ago_s=ago_s)
    if not console.is_terminal:
        yield PlainLines(progress)
        return

    def render() -> Group:
        return screen(progress, rows=max(1, console.height - 4))

    with Live(get_renderable=render, console=console, refresh_per_second=2, transient=True):
        yield LiveTable(progress, console)


class LiveTable:
    """Feeds the live table; a trial's end stays on the screen as a line above it."""

    def __init__(self, progress: Progress, console: Console) -> None:
        self._progress = progress
        self._console = console

    def update(self, news: Update) -> None:
        """Show it at the next refresh."""
        self._progress.update(news)

    def finish(self, finished: Finished) -> None:
        """Print the end above the table."""
        self._progress.finish(finished)
        self._console.print(end_line(finished), markup=False, highlight=False, soft_wrap=True)


class PlainLines:
    """One line at the start and at the end of each trial, and a summary now and then."""

    def __init__(
        self,
        progress: Progress,
        say: Callable[[str], None] = say,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress = progress
        self._say = say
        self._now = now
        self._said = now()
        self._told_of_wait = False

    def update(self, news: Update) -> None:
        """Say that a trial has started; at times, where the run stands."""
        if self._progress.update(news):
            self._say(f"start {trial_name(news.key)}")
        counts = self._progress.counts()
        if news.phase == "waiting for a core" and not counts.running and not self._told_of_wait:
            self._told_of_wait = True  # there may be no news for long
            self._say(f"{trial_name(news.key)} waits: other trials on this machine hold its cores")
        if self._now() - self._said >= PERIOD_S:
            self._said = self._now()
            self._say(summary(self._progress))

    def finish(self, finished: Finished) -> None:
        """Say how the trial ended."""
        self._progress.finish(finished)
        counts = self._progress.counts()
        self._say(f"[{counts.done}/{counts.total}] {end_line(finished)}")


def trial_name(key: TrialKey) -> str:
    """A trial in words."""
    workload, submission, study, trial = key
    return f"{workload} {submission} study {study} trial {trial}"


def end_line(finished: Finished) -> str:
    """How a trial ended, in one line."""
    outcome = finished.outcome
    line = f"{trial_name(finished.spec.key)}: {outcome.end}"
    line += f" after {outcome.steps} steps, {duration(outcome.wall_s)}"
    if ENDS[outcome.end].broken:
        line += f": {one_line(outcome.reason)}"
    return line


def summary(progress: Progress) -> str:
    """Counts and the time left, in one line."""
    counts = progress.counts()
    remaining = progress.remaining()
    eta = "time left unknown"
    if remaining is not None:
        eta = f"{'at most ' * progress.guesses}about {duration(remaining)} left"
    if counts.done == counts.total:
        eta = "finished"
    waiting = f", {counts.coreless} waiting for a core" if counts.coreless else ""
    return (
        f"{counts.done}/{counts.total} done, {counts.running} running{waiting}, "
        f"{counts.reached} reached, {counts.failed} failed; "
        f"{duration(progress.elapsed())} elapsed, {eta}"
    )


def table(progress: Progress, rows: int = ROWS) -> Table:
    """The live table: a row for each running trial, fit for a terminal 80 columns wide."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("workload", "submission"):
        # Without no_wrap it is these that a narrow terminal shortens, not the numbers.
        shown.add_column(name, overflow="ellipsis")
    for name in ("trial", "step", "metric", "target", "clock"):
        shown.add_column(name, justify="right", no_wrap=True)
    for spec, news in progress.running()[:rows]:
        trains = news.phase == "training"
        aim = spec.target.value if spec.target else None
        shown.add_row(
            spec.workload,
            spec.submission,
            f"{spec.study}.{spec.trial}",
            f"{news.steps}/{spec.budget.steps}" if trains else news.phase,
            "" if news.metric is None else f"{news.metric:.4g}",
            "" if aim is None else f"{aim:.4g}",
            _clock(spec, news.wall_s),
        )
    return shown


def _clock(spec: TrialSpec, wall_s: float) -> str:
    most = f"/{spec.budget.seconds:.0f}" if CLOCKS[spec.clock].in_seconds else ""
    return f"{wall_s:.0f}{most} s"


def screen(progress: Progress, rows: int = ROWS) -> Group:
    """The summary with the live table beneath, of the first `rows` trials that run."""
    hidden = progress.counts().running - rows
    more = [Text(f"and {hidden} more", style="dim")] if hidden > 0 else []
    return Group(Text(summary(progress), style="bold"), table(progress, rows), *more)


def duration(seconds: float) -> str:
    """Seconds for a reader: `7.3 s`, `2 min 05 s`, `3 h 20 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def one_line(text: str) -> str:
    """The last line of a message that has several: of a traceback, what was raised."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
