"""The second witness: what another process saw of a trial, to check the trial's own account."""

from __future__ import annotations

import time
from collections.abc import Sequence

from cluster.spec import Update
from scoring.details import exceeds
from scoring.records import Evaluation, Outcome, Record


class Witness:
    """Stamps the news of one attempt with its own clock, where no submission runs."""

    def __init__(self) -> None:
        self._first: Update | None = None
        self._since = self._until = 0.0
        self._cpu_before = 0.0
        self._steps: set[int] = set()

    @property
    def steps(self) -> int:
        """The last step heard of."""
        return max(self._steps, default=0)

    def hear(self, news: Update, cpu_s: float) -> None:
        """`cpu_s` are the seconds of the trial's processes so far."""
        if news.phase != "training":
            return
        self._steps.add(news.steps)
        if self._first is None:
            self._first, self._since, self._cpu_before = news, time.monotonic(), cpu_s
        self._until = time.monotonic()

    def end(self) -> None:
        """The outcome came."""
        self._until = time.monotonic()

    def says(self, outcome: Outcome, record: Record, cpu_s: float, cores: int) -> dict[str, object]:
        """For the outcome: real seconds, CPU seconds of the whole tree, and what is in doubt."""
        if self._first is None:
            return {}
        wall_s = self._until - self._since
        used_s = max(0.0, cpu_s - self._cpu_before)
        clock_s = outcome.wall_s - self._first.wall_s
        # An attempt that was ended before its first evaluation gave back what it went on from.
        on_clock_s = min(max(0.0, clock_s), wall_s)
        facts = {
            "witness_wall_s": round(wall_s, 3),
            "witness_cpu_s": round(used_s, 3),
            "off_clock_share": round(1 - on_clock_s / wall_s, 4) if wall_s else 0.0,
        }
        stood_still_s = off_clock_s(outcome) - self._first.off_clock_s
        doubts = [
            *_doubts_of_time(clock_s, stood_still_s, wall_s),
            *_doubts_of_cores(used_s, wall_s, cores),
            *self._doubts_of_lines(record.evaluations),
        ]
        return facts | ({"doubt": "; ".join(doubts)} if doubts else {})

    def _doubts_of_lines(self, evaluations: Sequence[Evaluation]) -> list[str]:
        first = self._first.steps if self._first else 0
        unheard = [
            line.steps
            for line in evaluations
            if line.steps > first and line.steps not in self._steps
        ]
        return [f"an evaluation at step {unheard[0]} that was not reported"] if unheard else []


def off_clock_s(outcome: Outcome) -> float:
    """The seconds that a trial says it spent while its clock stood still."""
    parts = ("evaluation_s", "checkpoint_s", "reference_turns_s")
    return sum(float(outcome.extra.get(name, 0.0)) for name in parts)


def _doubts_of_time(clock_s: float, off_clock_s: float, wall_s: float) -> list[str]:
    claimed_s = clock_s + off_clock_s
    if exceeds(clock_s, wall_s):
        return [f"{clock_s:.1f} s on the clock within {wall_s:.1f} s"]
    if exceeds(wall_s, claimed_s):
        return [f"{wall_s:.1f} s passed, of which the trial reports {claimed_s:.1f} s"]
    return []


def _doubts_of_cores(used_s: float, wall_s: float, cores: int) -> list[str]:
    if exceeds(used_s / cores, wall_s):
        return [f"{used_s:.1f} CPU s within {wall_s:.1f} s on {cores} core(s)"]
    return []
