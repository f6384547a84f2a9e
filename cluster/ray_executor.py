"""The Ray executor: every trial in a fresh process, on cores that it holds alone."""

from __future__ import annotations

import collections
import dataclasses
import os
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

from cluster import deadline
from cluster.attempts import finished, write_failure
from cluster.cores import hold_cores
from cluster.ray_session import ray_session
from cluster.spec import ClusterError, Finished, TrialSpec, Update, Watch
from cluster.trial import run_trial

MAX_CRASHES = 3
"""How often a trial's process may die before the trial is given up."""
_IN_FLIGHT = 64
_LOOK_EVERY_S = 1.0


@ray.remote(max_calls=1, max_retries=0, num_returns="streaming")
def _race(spec: TrialSpec) -> Iterator[Any]:
    """A trial in a worker of its own: yields its news, and its outcome last."""
    # Ray ends workers by SIGTERM, and its handler raises SystemExit: to the trial that would look
    # like a submission's own doing. Cut off dead, it can be resumed.
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(1))
    # Nothing may be yielded before the cores are held: Ray would import more beside.
    with hold_cores(spec.resources.cores) as cores:
        yield from run_trial(spec, cores)


@dataclasses.dataclass
class _Running:
    spec: TrialSpec
    crashes: int
    heard: float
    """When it last spoke, on the driver's monotonic clock."""
    silence_s: float = float("inf")
    """How long it may be silent; unlimited while it waits for a place."""
    hung: bool = False


def run_on_ray(
    specs: Sequence[TrialSpec], watch: Watch, address: str | None, at_once: int | None
) -> Iterator[Finished]:
    """See `cluster.run_all`."""
    with ray_session(address):
        _check_room(specs)
        race = _Race(specs, watch, at_once or _IN_FLIGHT)
        while race.unfinished:
            yield from race.look()


class _Race:
    """The trials in flight, and those that wait."""

    def __init__(self, specs: Sequence[TrialSpec], watch: Watch, at_once: int) -> None:
        self._waiting = collections.deque((spec, 0) for spec in specs)
        self._running: dict[Any, _Running] = {}  # by the stream of the trial's news
        self._watch = watch
        self._at_once = at_once

    @property
    def unfinished(self) -> bool:
        return bool(self._waiting or self._running)

    def look(self) -> Iterator[Finished]:
        """Submit what fits, wait a moment for news, and yield the trials that ended."""
        while self._waiting and len(self._running) < self._at_once:
            self._submit(*self._waiting.popleft())
        streams: list[Any] = list(self._running)
        ready: list[Any] = ray.wait(streams, num_returns=1, timeout=_LOOK_EVERY_S)[0]
        for stream in ready:
            running = self._running[stream]
            try:
                news: Any = ray.get(next(stream))
            except RayTaskError as error:
                raise error.cause from None
            except RayError as error:
                del self._running[stream]
                yield from self._crashed(running, error)
                continue
            if isinstance(news, Update):
                running.heard = time.monotonic()
                running.silence_s = _patience_s(running.spec, news)
                self._watch(news)
            else:
                del self._running[stream]
                yield Finished(running.spec, news)
        self._end_the_hung()

    def _submit(self, spec: TrialSpec, crashes: int) -> None:
        held = spec.resources
        stream = _race.options(num_cpus=held.cores, num_gpus=held.gpus).remote(spec)
        self._running[stream] = _Running(spec, crashes, time.monotonic())

    def _crashed(self, running: _Running, error: RayError) -> Iterator[Finished]:
        """A trial whose process died goes on from its checkpoint, but not for ever."""
        spec, crashes = running.spec, running.crashes + 1
        outcome = finished(spec)
        if outcome:  # its last words were lost on the way, not its record
            yield Finished(spec, outcome)
            return
        if running.hung:
            reason = f"gave no sign of life for {running.silence_s:.0f} s and was ended"
        elif isinstance(error, OutOfMemoryError):
            reason = "its process was ended because the machine ran out of memory"
        elif crashes < MAX_CRASHES:
            self._watch(Update(spec.key, "queued"))
            self._waiting.appendleft((spec, crashes))
            return
        else:
            reason = f"its process died {crashes} times ({type(error).__name__})"
        yield Finished(spec, write_failure(spec, reason))

    def _end_the_hung(self) -> None:
        now = time.monotonic()
        for stream, running in self._running.items():
            overdue = now - running.heard > running.silence_s and not running.hung
            # What it said may lie unread because this process itself was held up.
            if overdue and not ray.wait([stream], timeout=0)[0]:
                running.hung = True
                ray.cancel(stream, force=True)


def _patience_s(spec: TrialSpec, news: Update) -> float:
    return deadline.silence_s(spec, news.phase == "training", news.wall_s)


def _check_room(specs: Sequence[TrialSpec]) -> None:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for held in {spec.resources for spec in specs}:
        fits = [
            node
            for node in nodes
            if node.get("CPU", 0) >= held.cores and node.get("GPU", 0) >= held.gpus
        ]
        if not fits:
            raise ClusterError(
                f"no node has {held.cores} cores and {held.gpus} accelerators for one trial; "
                "lower `resources` in the suite, or join a larger cluster with --address"
            )
