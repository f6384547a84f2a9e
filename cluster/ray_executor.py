"""The Ray executor: every trial under a supervisor on some node, on cores that it holds alone."""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import cluster.ray_quiet  # isort: skip  # noqa: F401 - before ray, which looks at its import
import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster import parcels
from cluster.attempts import finished, write_failure
from cluster.faults import NODE, Interrupts, NodeError
from cluster.hardware import fingerprint
from cluster.node_data import FETCH_S, fetch_all
from cluster.parcels import Errand, Piece
from cluster.pools import Place, Pool, choose
from cluster.ray_nodes import ask_nodes, nodes
from cluster.ray_session import ray_session
from cluster.spec import ClusterError, Finished, Limits, Tell, TrialSpec, Update, Watch
from cluster.supervisor import supervise
from scoring.records import Outcome

MAX_SETBACKS = 3
"""How often nodes may let a trial down, without any progress between, before it is given up."""
_ALWAYS_AT_ONCE = 64
_LOOK_EVERY_S = 1.0


@ray.remote(max_retries=0, num_returns="streaming")
def _race(spec: TrialSpec, errand: Errand | None) -> Iterator[Any]:
    """A trial's news from its supervisor; no submission's code runs in this process.

    With an errand where the node may not see the run's folder.
    """
    # Cut off dead, a trial can be resumed; its own process dies with this one.
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(1))
    try:
        yield from supervise(spec) if errand is None else parcels.race(spec, errand)
    except OSError as error:
        yield NodeError(f"{error}")


@dataclasses.dataclass
class _Running:
    spec: TrialSpec
    setbacks: int = 0
    steps: int = 0
    """The last that was heard of."""
    node: str | None = None
    """Where it was sent, if to a named one."""


def run_on_ray(
    specs: Sequence[TrialSpec],
    watch: Watch,
    address: str | None,
    at_once: int | None,
    limits: Limits | None = None,
    tell: Tell | None = None,
) -> Iterator[Finished]:
    """See `cluster.run_all`."""
    # Entered within the session: Ray sets a handler for SIGTERM of its own.
    with ray_session(address), Interrupts():
        room = _check_room(specs)
        pool = None
        if address is not None:
            pool = _pool(specs, tell or (lambda line: None))
            room = pool.cores
        # More than there is room for: the next trials wait where they will race. Unless what a
        # trial is given hangs on how others ended: then it waits here.
        most = max(_ALWAYS_AT_ONCE, 2 * room) if limits is None else _side_by_side(specs, room)
        race = _Race(specs, watch, at_once or most, limits, pool)
        while race.unfinished:
            yield from race.look()


class _Race:
    """The trials in flight, and those that wait; with a pool where nodes may be of many kinds."""

    def __init__(
        self,
        specs: Sequence[TrialSpec],
        watch: Watch,
        at_once: int,
        limits: Limits | None = None,
        pool: Pool | None = None,
    ) -> None:
        self._waiting = collections.deque(_Running(spec) for spec in specs)
        self._running: dict[Any, _Running] = {}  # by the stream of the trial's news
        self._watch = watch
        self._at_once = at_once
        self._limits = limits
        self._pool = pool

    @property
    def unfinished(self) -> bool:
        return bool(self._waiting or self._running)

    def look(self) -> Iterator[Finished]:
        """Submit what fits, wait a moment for news, and yield the trials that ended."""
        while self._waiting and len(self._running) < self._at_once:
            self._submit(self._waiting.popleft())
        streams: list[Any] = list(self._running)
        ready: list[Any] = ray.wait(streams, num_returns=1, timeout=_LOOK_EVERY_S)[0]
        for stream in ready:
            running = self._running[stream]
            news = _next(stream)
            if isinstance(news, Piece):
                parcels.land(running.spec, news)
                continue
            if isinstance(news, Update):
                self._hear(running, news)
                continue
            del self._running[stream]
            if self._pool and running.node:
                self._pool.give_back(running.node, running.spec.resources)
            if isinstance(news, Outcome):
                yield Finished(running.spec, news)
            else:
                yield from self._set_back(running, str(news))

    def _submit(self, running: _Running) -> None:
        held = running.spec.resources
        options: dict[str, Any] = {"num_cpus": held.cores, "num_gpus": held.gpus}
        if self._pool and self._pool.mixed:
            running.node = self._pool.lend(held, [node.id for node in nodes()])
            strategy = NodeAffinitySchedulingStrategy(running.node, soft=False)
            options["scheduling_strategy"] = strategy
        elif running.setbacks:  # elsewhere, if there is an elsewhere
            options["scheduling_strategy"] = "SPREAD"
        stop = self._limits(running.spec) if self._limits else None
        spec = dataclasses.replace(running.spec, stop=stop)
        errand = parcels.errand(spec) if self._pool else None
        self._running[_race.options(**options).remote(spec, errand)] = running

    def _hear(self, running: _Running, news: Update) -> None:
        if news.steps > running.steps:
            running.steps, running.setbacks = news.steps, 0
        self._watch(news)

    def _set_back(self, running: _Running, reason: str) -> Iterator[Finished]:
        """A trial let down by its node goes on from its checkpoint, but not for ever."""
        spec = running.spec
        outcome = finished(spec)
        if outcome:  # its last words were lost on the way, not its record
            yield Finished(spec, outcome)
            return
        running.setbacks += 1
        if running.setbacks < MAX_SETBACKS:
            self._watch(Update(spec.key, "queued"))
            self._waiting.appendleft(running)
            return
        reason = f"let down {running.setbacks} times by its node: {reason}"
        yield Finished(spec, write_failure(spec, reason, fault=NODE))


def _next(stream: Any) -> Update | Outcome | NodeError | Piece:
    try:
        return ray.get(next(stream))
    except RayTaskError as error:
        # Of ours: no submission's code runs there.
        return NodeError(" ".join(f"{error.cause}".split()) or type(error.cause).__name__)
    except (RayError, StopIteration) as error:
        return NodeError(f"its supervisor died ({type(error).__name__})")


def _pool(specs: Sequence[TrialSpec], tell: Tell) -> Pool:
    """Which nodes of the cluster race, with the data in place; told before the first trial does.

    Raises:
        ClusterError: none can.
    """
    first = specs[0]
    replies = ask_nodes(functools.partial(fingerprint, first.resources))
    places = [
        Place(one.node.id, one.node.name, one.node.cores, one.node.gpus, one.answer, one.trouble)
        for one in replies
    ]
    pool, told = choose(places, first.resources, first.run)
    for line in told:
        tell(line)
    ids = list(dict.fromkeys(spec.workload for spec in specs))
    trouble = ""
    for reply in ask_nodes(functools.partial(fetch_all, ids), FETCH_S, pool.places):
        if reply.trouble:
            trouble = reply.trouble
            tell(f"{reply.node.name} stands aside: {reply.trouble}")
            pool.remove(reply.node.id)
    if not pool.places:
        raise ClusterError(f"no node has the data: {trouble}")
    return pool


def _side_by_side(specs: Sequence[TrialSpec], room: int) -> int:
    """How many trials fit on `room` cores."""
    return max(1, room // max(spec.resources.cores for spec in specs))


def _check_room(specs: Sequence[TrialSpec]) -> int:
    """How many cores there are.

    Raises:
        ClusterError: no node has what a trial asks for.
    """
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
    return int(sum(node.get("CPU", 0) for node in nodes))
