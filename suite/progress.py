"""Where a run stands: every trial's latest news, counts, and an estimate of the time left."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from cluster.spec import Finished, TrialSpec, Update
from scoring.ground.words import TrialKey

_OUTLASTS = 0.1
"""The share of a trial's time that is taken to lie before it, as long as it runs."""


@dataclasses.dataclass(frozen=True)
class Counts:
    """How many trials there are, have ended, ended `reached` and `failed`, run, and want a core."""

    total: int
    done: int
    reached: int
    failed: int
    running: int
    coreless: int = 0
    """Could run, but that others, perhaps of another run, hold the cores."""


@dataclasses.dataclass
class _Tally:
    """What the trials of one workload come to; kept up to date, so that nothing is counted anew."""

    waiting: int = 0
    """Neither ended nor running."""
    waiting_budget_s: float = 0.0
    ended: int = 0
    """Of those that raced here: a trial that ended before a resume took none of the time passed."""
    ended_s: float = 0.0
    ended_budget_s: float = 0.0

    def wait(self, spec: TrialSpec, by: int) -> None:
        """One trial more, or less, that waits."""
        self.waiting += by
        self.waiting_budget_s += by * spec.budget.seconds

    def expected_s(self, used: float) -> float:
        """The seconds of one that waits, where ended trials used that share of their budgets."""
        if self.ended:
            return self.ended_s / self.ended
        return self.waiting_budget_s * used / self.waiting


class Progress:
    """The state behind every display; its methods may be called from any thread.

    News cost the same however many trials there are, and a look at it no more than the trials that
    run now.
    """

    def __init__(
        self,
        specs: Sequence[TrialSpec],
        now: Callable[[], float] = time.monotonic,
        ago_s: float = 0.0,
    ) -> None:
        self._specs = {spec.key: spec for spec in specs}
        self._now = now
        self._start = now() - ago_s
        self._lock = threading.Lock()
        self._running: dict[TrialKey, Update] = {}
        self._seen: set[TrialKey] = set()
        self._coreless: set[TrialKey] = set()
        self._done: set[TrialKey] = set()
        self._ends: Counter[str] = Counter()
        self._tallies: defaultdict[str, _Tally] = defaultdict(_Tally)
        for spec in self._specs.values():
            self._tallies[spec.workload].wait(spec, 1)

    def update(self, news: Update) -> bool:
        """Take in news of a trial; whether the trial has just got its core."""
        with self._lock:
            if news.key in self._done:
                return False
            self._coreless.discard(news.key)
            if news.phase == "waiting for a core":
                self._coreless.add(news.key)
            if news.phase in ("queued", "waiting for a core"):
                self._stop(news.key)  # put back, if it ran
                return False
            begun = news.key not in self._seen
            self._seen.add(news.key)
            if news.phase == "ended":
                self._stop(news.key)
            else:
                if news.key not in self._running:
                    self._wait(news.key, -1)
                self._running[news.key] = news
            return begun

    def finish(self, finished: Finished) -> None:
        """Take in the end of a trial."""
        spec, outcome = finished.spec, finished.outcome
        with self._lock:
            if spec.key in self._done:
                return
            self._stop(spec.key)
            self._wait(spec.key, -1)
            self._done.add(spec.key)
            self._coreless.discard(spec.key)
            self._ends[outcome.end] += 1
            if spec.key in self._seen:
                tally = self._tallies[spec.workload]
                tally.ended += 1
                tally.ended_s += outcome.wall_s
                tally.ended_budget_s += spec.budget.seconds

    def running(self) -> list[tuple[TrialSpec, Update]]:
        """The trials that hold a core now, in the order in which they got it."""
        with self._lock:
            pairs = list(self._running.items())
        return [(self._specs[key], news) for key, news in pairs if key in self._specs]

    def counts(self) -> Counts:
        """The counts of this moment."""
        with self._lock:
            total, running = len(self._specs), len(self._running)
            reached, failed = self._ends["reached"], self._ends["failed"]
            return Counts(total, len(self._done), reached, failed, running, len(self._coreless))

    def elapsed(self) -> float:
        """Seconds since the run began or was resumed."""
        return self._now() - self._start

    def remaining(self) -> float | None:
        """Estimated seconds to the end; None before a trial's first steps are known.

        The time passed, times work left over work done; but never less than one trial alone still
        has before it. A trial's work is its wall clock; of one that has not ended, the mean of its
        workload's ended ones, or else its budget scaled by what the ended trials of other workloads
        used of theirs. Until one has ended, all are taken to spend their steps at the pace so far.
        """
        with self._lock:
            tallies = self._tallies.values()
            work = sum(tally.ended_s for tally in tallies)
            measured = work > 0
            used = self._used(work)
            if used is None:
                return None
            waiting = [tally for tally in tallies if tally.waiting]
            seconds = sum(tally.waiting * tally.expected_s(used) for tally in waiting)
            longest = max((tally.expected_s(used) for tally in waiting), default=0.0)
            for key, news in self._running.items():
                if key not in self._specs:
                    continue
                work += news.wall_s
                left_s = self._left_s(self._specs[key], news.wall_s, used)
                seconds += left_s
                longest = max(longest, left_s)
            # How long trials take to make ready counts for little in the end, and for much by now.
            passed = self._now() - self._start if measured else work / len(self._running)
            return max(passed * seconds / work, longest)

    @property
    def guesses(self) -> bool:
        """Whether no trial has ended here yet, so that what remains is known by the pace alone."""
        with self._lock:
            return not any(tally.ended for tally in self._tallies.values())

    def _used(self, ended_s: float) -> float | None:
        """The share of its budget's seconds that a trial comes to."""
        if ended_s > 0:
            return ended_s / sum(tally.ended_budget_s for tally in self._tallies.values())
        whole_s = budget_s = 0.0
        for key, news in self._running.items():
            if key in self._specs and news.steps and news.wall_s > 0:
                budget = self._specs[key].budget
                whole_s += news.wall_s / news.steps * budget.steps
                budget_s += budget.seconds
        return whole_s / budget_s if budget_s else None

    def _left_s(self, spec: TrialSpec, wall_s: float, used: float) -> float:
        tally = self._tallies[spec.workload]
        expected_s = tally.ended_s / tally.ended if tally.ended else spec.budget.seconds * used
        # One that outlasts the others has no known end, and yet it is not at it.
        return max(expected_s - wall_s, _OUTLASTS * max(expected_s, wall_s))

    def _stop(self, key: TrialKey) -> None:
        if self._running.pop(key, None):
            self._wait(key, 1)

    def _wait(self, key: TrialKey, by: int) -> None:
        if key in self._specs:
            self._tallies[key.workload].wait(self._specs[key], by)
