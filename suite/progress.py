"""Where a run stands: every trial's latest news, counts, and an estimate of the time left."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from cluster.spec import Finished, TrialSpec, Update
from scoring.ground.words import TrialKey


@dataclasses.dataclass(frozen=True)
class Counts:
    """How many trials there are, have ended, ended `reached` and `failed`, and are running."""

    total: int
    done: int
    reached: int
    failed: int
    running: int


class Progress:
    """The state behind every display; its methods may be called from any thread."""

    def __init__(
        self, specs: Sequence[TrialSpec], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._specs = {spec.key: spec for spec in specs}
        self._now = now
        self._start = now()
        self._lock = threading.Lock()
        self._running: dict[TrialKey, Update] = {}
        self._seen: set[TrialKey] = set()
        self._done: dict[TrialKey, Finished] = {}

    def update(self, news: Update) -> bool:
        """Take in news of a trial; whether the trial has just got its core."""
        with self._lock:
            if news.phase in ("queued", "waiting for a core") or news.key in self._done:
                return False
            begun = news.key not in self._seen
            self._seen.add(news.key)
            if news.phase == "ended":
                self._running.pop(news.key, None)
            else:
                self._running[news.key] = news
            return begun

    def finish(self, finished: Finished) -> None:
        """Take in the end of a trial."""
        with self._lock:
            self._running.pop(finished.spec.key, None)
            self._done[finished.spec.key] = finished

    def running(self) -> list[tuple[TrialSpec, Update]]:
        """The trials that hold a core now, in the order in which they got it."""
        with self._lock:
            pairs = list(self._running.items())
        return [(self._specs[key], news) for key, news in pairs if key in self._specs]

    def counts(self) -> Counts:
        """The counts of this moment."""
        with self._lock:
            ends = Counter(finished.outcome.end for finished in self._done.values())
            total, running = len(self._specs), len(self._running)
            return Counts(total, len(self._done), ends["reached"], ends["failed"], running)

    def elapsed(self) -> float:
        """Seconds since the run began or was resumed."""
        return self._now() - self._start

    def remaining(self) -> float | None:
        """Estimated seconds to the end; None before a trial has run to its end here.

        The time passed, times work left over work done. A trial's work is its wall clock; of one
        that has not ended, the mean of its workload's ended ones, or else its budget scaled by
        what the ended trials of other workloads used of theirs.
        """
        with self._lock:
            # Trials finished before a resume took none of the time passed.
            ended = [done for key, done in self._done.items() if key in self._seen]
            work = sum(done.outcome.wall_s for done in ended)
            if work <= 0:
                return None
            left = 0.0
            for key, spec in self._specs.items():
                if key in self._done:
                    continue
                spent = self._running[key].wall_s if key in self._running else 0.0
                work += spent
                left += max(_expected(spec, ended) - spent, 0.0)
            return (self._now() - self._start) * left / work


def _expected(spec: TrialSpec, ended: Sequence[Finished]) -> float:
    alike = [done.outcome.wall_s for done in ended if done.spec.workload == spec.workload]
    if alike:
        return sum(alike) / len(alike)
    used = sum(done.outcome.wall_s for done in ended)
    allowed = sum(done.spec.budget.seconds for done in ended)
    return spec.budget.seconds * used / allowed
