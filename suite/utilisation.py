"""What the cores of a run were doing: on a trial's clock, making ready, evaluating, or nothing."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from cluster.spec import Finished, Update
from cluster.supervision.witness import off_clock_s
from scoring.ground.words import TrialKey

ON_THE_CLOCK = "on the clock"
OFF_THE_CLOCK = "evaluations, checkpoints and reference turns"
READY = "setup"
FREE = "idle"
_READY = ("preparing", "warming up")


@dataclasses.dataclass
class _Seen:
    """A trial that races here."""

    cores: int
    since: float
    """When it got its cores."""
    trains: float | None = None
    """Since when it trains; `clock_s` and `off_clock_s` are what it had spent before."""
    clock_s: float = 0.0
    off_clock_s: float = 0.0
    last: Update | None = None


class Utilisation:
    """Adds up core seconds, by what they went into, from the news of running trials."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._seen: dict[TrialKey, _Seen] = {}
        self._spent = dict.fromkeys((ON_THE_CLOCK, OFF_THE_CLOCK, READY), 0.0)
        self._begun: float | None = None
        self._ended = 0.0
        self._held = self._most = 0

    def update(self, news: Update, cores: int) -> None:
        """News of a trial that holds so many cores."""
        now = self._now()
        if news.phase in ("queued", "waiting for a core"):
            self._let_go(news.key, now)
            return
        if news.key not in self._seen:
            if news.phase not in _READY:
                return  # its last words, or it was not heard of from the start
            self._seen[news.key] = _Seen(cores, now)
            self._begun = now if self._begun is None else self._begun
            self._held += cores
            self._most = max(self._most, self._held)
        trial = self._seen[news.key]
        if news.phase == "training":
            if trial.trains is None:
                trial.trains, trial.clock_s = now, news.wall_s
                trial.off_clock_s = news.off_clock_s
            trial.last = news

    def finish(self, finished: Finished) -> None:
        """A trial has ended."""
        self._let_go(finished.spec.key, self._now(), finished)

    def _let_go(self, key: TrialKey, now: float, finished: Finished | None = None) -> None:
        trial = self._seen.pop(key, None)
        if trial is None:
            return
        self._held -= trial.cores
        self._ended = now
        trains = now if trial.trains is None else trial.trains
        self._spent[READY] += trial.cores * (trains - trial.since)
        if trial.trains is None or trial.last is None:
            return
        clock_s, stood_still_s = trial.last.wall_s, trial.last.off_clock_s
        if finished is not None:
            clock_s, stood_still_s = finished.outcome.wall_s, off_clock_s(finished.outcome)
        self._spent[ON_THE_CLOCK] += trial.cores * max(0.0, clock_s - trial.clock_s)
        self._spent[OFF_THE_CLOCK] += trial.cores * max(0.0, stood_still_s - trial.off_clock_s)

    def shares(self) -> dict[str, float]:
        """The share of the cores' time, from the first trial's start to the last one's end.

        The cores are the most that were held at one time.
        """
        if self._begun is None or self._ended <= self._begun:
            return {}
        whole = self._most * (self._ended - self._begun)
        shares = {what: spent / whole for what, spent in self._spent.items()}
        return shares | {FREE: max(0.0, 1.0 - sum(shares.values()))}

    def line(self) -> str:
        """In one line; empty where nothing raced.

        Racing is all that a trial is made of, its evaluations and the turns of the paired clock
        included; what is left is what the harness costs.
        """
        shares = self.shares()
        if not shares:
            return ""
        racing = shares[ON_THE_CLOCK] + shares[OFF_THE_CLOCK]
        parts = {what: f"{share:.1%} {what}" for what, share in shares.items()}
        cores = "1 core" if self._most == 1 else f"{self._most} cores"
        return (
            f"time on {cores}: {racing:.1%} racing ({parts[ON_THE_CLOCK]}, "
            f"{parts[OFF_THE_CLOCK]}), {parts[READY]}, {parts[FREE]}"
        )
