"""The trials of a run, waiting and in flight, independent of how they reach nodes."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from cluster.attempts import finished, forget_checkpoint, next_record, write_failure
from cluster.executors import parcels
from cluster.executors.parcels import Errand, Piece
from cluster.executors.pools import Pool
from cluster.faults import NODE, NodeError
from cluster.spec import Finished, Limits, Stop, TrialSpec, Update, Watch
from cluster.trial import bounds
from scoring.ground.words import TrialKey, is_reference
from scoring.records import Outcome

MAX_SETBACKS = 3
"""How often nodes may let a trial down, without any progress between, before it is given up."""
News = Update | Outcome | NodeError | Piece


class Fleet(Protocol):
    """What carries trials to nodes, and their news back; a handle stands for a trial sent off."""

    def send(self, spec: TrialSpec, errand: Errand | None, node: str | None, spread: bool) -> Any:
        """Send a trial off: to that node, or to any; `spread` wants one that has little to do."""

    def ready(self, handles: list[Any]) -> list[Any]:
        """Those that have news, after a moment's waiting for the first."""

    def next(self, handle: Any) -> News:
        """The next of its news; an outcome or a node's error is the last."""

    def alive(self) -> Iterable[str]:
        """The nodes that are there."""

    def post(self, key: TrialKey, stop: Stop) -> None:
        """Let the node of a running trial know when it may stop."""


@dataclasses.dataclass
class _Running:
    spec: TrialSpec
    setbacks: int = 0
    steps: int = 0
    """The last that was heard of."""
    node: str | None = None
    """Where it was sent, if to a named one."""
    stop: Stop | None = None
    """When it was last told that it may stop."""
    record: Path | None = None
    """Of the attempt that was sent off."""


def longest_last_stretch(specs: Sequence[TrialSpec], side_by_side: int) -> list[TrialSpec]:
    """As planned, but of the last trials the longest come first: no core waits for one at the end.

    Of the last sixteen for each of those that race at a time. How long a trial takes is not known;
    its budget is. References come before all else, since what may stop hangs on them.
    """
    since = max(0, len(specs) - 16 * side_by_side)

    def order(spec: TrialSpec) -> tuple[bool, float]:
        return not is_reference(spec.submission), -spec.budget.seconds

    return [*specs[:since], *sorted(specs[since:], key=order)]


class Race:
    """The trials in flight, and those that wait; with a pool where nodes may be of many kinds."""

    def __init__(
        self,
        specs: Sequence[TrialSpec],
        watch: Watch,
        at_once: int,
        fleet: Fleet,
        limits: Limits | None = None,
        pool: Pool | None = None,
    ) -> None:
        self._waiting = collections.deque(_Running(spec) for spec in specs)
        self._running: dict[Any, _Running] = {}  # by the handle
        self._watch = watch
        self._at_once = at_once
        self._fleet = fleet
        self._limits = limits
        self._pool = pool
        self._ended: list[TrialSpec] = []

    @property
    def unfinished(self) -> bool:
        """Whether any trial has yet to end."""
        return bool(self._waiting or self._running)

    def look(self) -> Iterator[Finished]:
        """Submit what fits, wait a moment for news, and yield the trials that ended."""
        self._tighten()
        while self._waiting and len(self._running) < self._at_once:
            self._submit(self._waiting.popleft())
        for handle in self._fleet.ready(list(self._running)):
            running = self._running[handle]
            news = self._fleet.next(handle)
            if isinstance(news, Piece):
                parcels.land(running.spec, news)
                continue
            if isinstance(news, Update):
                self._hear(running, news)
                continue
            del self._running[handle]
            if self._pool and running.node:
                self._pool.give_back(running.node, running.spec.resources)
            if isinstance(news, Outcome):
                yield self._end(running.spec, news)
            else:
                yield from self._set_back(running, str(news))

    def _submit(self, running: _Running) -> None:
        held = running.spec.resources
        if self._pool and self._pool.mixed:
            running.node = self._pool.lend(held, self._fleet.alive())
        running.stop = self._limits(running.spec) if self._limits else None
        spec = dataclasses.replace(running.spec, stop=running.stop)
        running.record = next_record(spec)
        errand = parcels.errand(spec) if self._pool else None
        # Elsewhere, if there is an elsewhere.
        handle = self._fleet.send(spec, errand, running.node, running.setbacks > 0)
        self._running[handle] = running

    def _tighten(self) -> None:
        """Tell running trials what follows for them from those that ended meanwhile."""
        ended, self._ended = self._ended, []
        if self._limits is None or not ended:
            return
        entries = {(spec.workload, spec.submission) for spec in ended}
        measured = {spec.workload for spec in ended if is_reference(spec.submission)}
        for running in self._running.values():
            spec = running.spec
            if (spec.workload, spec.submission) in entries or spec.workload in measured:
                stop = self._limits(spec)
                if stop and (running.stop is None or stop.after < running.stop.after):
                    running.stop = stop
                    bounds.publish(spec, stop)
                    if self._pool:
                        self._fleet.post(spec.key, stop)

    def _hear(self, running: _Running, news: Update) -> None:
        if news.steps > running.steps:
            running.steps, running.setbacks = news.steps, 0
        self._watch(news)

    def _end(self, spec: TrialSpec, outcome: Outcome) -> Finished:
        bounds.clear(spec)
        forget_checkpoint(spec, outcome)  # came home, perhaps, and was used elsewhere
        self._ended.append(spec)
        return Finished(spec, outcome)

    def _set_back(self, running: _Running, reason: str) -> Iterator[Finished]:
        """A trial let down by its node goes on from its checkpoint, but not for ever."""
        spec = running.spec
        # One that is raced again has ended before: only what this attempt wrote is its end.
        outcome = finished(spec) if running.record and running.record.exists() else None
        if outcome:  # its last words were lost on the way, not its record
            yield self._end(spec, outcome)
            return
        running.setbacks += 1
        if running.setbacks < MAX_SETBACKS:
            self._watch(Update(spec.key, "queued"))
            self._waiting.appendleft(running)
            return
        reason = f"its node failed {running.setbacks} times: {reason}"
        yield self._end(spec, write_failure(spec, reason, fault=NODE))
