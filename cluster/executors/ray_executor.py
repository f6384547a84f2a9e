"""The Ray executor: each trial runs under a supervisor on some node, on cores of its own."""

from __future__ import annotations

import functools
import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import cluster.executors.ray_quiet  # isort: skip  # noqa: F401 - before ray, which looks at its import
import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.executors import parcels
from cluster.executors.parcels import Errand
from cluster.executors.pools import side_by_side
from cluster.executors.race import News, Race, longest_last_stretch
from cluster.executors.ray_nodes import nodes
from cluster.executors.ray_pool import check_room, make_pool
from cluster.executors.ray_session import ray_session
from cluster.faults import Interrupts, NodeError, check_interrupt
from cluster.spec import Finished, Limits, Stop, Tell, TrialSpec, Watch
from cluster.supervision.forked import stand_ready
from cluster.supervision.supervisor import supervise
from scoring.ground.words import TrialKey

_ALWAYS_AT_ONCE = 64
_LOOK_EVERY_S = 1.0


@ray.remote(max_retries=0, num_returns="streaming")
def _race(spec: TrialSpec, errand: Errand | None, bulletin: Any) -> Iterator[Any]:
    """A trial's news from its supervisor; no submission's code runs in this process.

    With an errand where the node may not see the run's folder, and then with the bulletin.
    """
    # Cut off dead, a trial can be resumed; its own process dies with this one.
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(1))
    stand_ready()  # the worker races other trials after this one
    try:
        if errand is None:
            yield from supervise(spec)
        else:
            yield from parcels.race(spec, errand, functools.partial(_posted, bulletin, spec.key))
    except OSError as error:
        yield NodeError(f"{error}")


@ray.remote(num_cpus=0)
class _Bulletin:
    """When running trials may stop, for nodes that do not see the run's folder."""

    def __init__(self) -> None:
        self._stops: dict[TrialKey, Stop] = {}

    def post(self, key: TrialKey, stop: Stop) -> None:
        self._stops[key] = stop

    def read(self, key: TrialKey) -> Stop | None:
        return self._stops.get(key)


def _posted(bulletin: Any, key: TrialKey) -> Stop | None:
    try:
        return ray.get(bulletin.read.remote(key), timeout=10)
    except RayError:
        return None


class _RayFleet:
    """See `cluster.executors.race.Fleet`; a handle is the stream of a trial's news."""

    def __init__(self, bulletin: Any = None) -> None:
        self._bulletin = bulletin
        self._alive: list[str] = []
        self._asked = -_LOOK_EVERY_S

    def send(self, spec: TrialSpec, errand: Errand | None, node: str | None, spread: bool) -> Any:
        held = spec.resources
        options: dict[str, Any] = {"num_cpus": held.all_cores, "num_gpus": held.all_gpus}
        if node is not None:
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=False)
        elif spread:
            options["scheduling_strategy"] = "SPREAD"
        return _race.options(**options).remote(spec, errand, self._bulletin)

    def ready(self, handles: list[Any]) -> list[Any]:
        if not ray.wait(handles, num_returns=1, timeout=_LOOK_EVERY_S)[0]:
            return []
        # All that have news by now: with a thousand trials in flight one look is dear.
        return ray.wait(handles, num_returns=len(handles), timeout=0)[0]

    def next(self, handle: Any) -> News:
        try:
            return ray.get(next(handle))
        except RayTaskError as error:
            # Of ours: no submission's code runs there.
            return NodeError(" ".join(f"{error.cause}".split()) or type(error.cause).__name__)
        except (RayError, StopIteration) as error:
            return NodeError(f"its supervisor died ({type(error).__name__})")

    def alive(self) -> Iterable[str]:
        if time.monotonic() - self._asked >= _LOOK_EVERY_S:
            self._alive, self._asked = [node.id for node in nodes()], time.monotonic()
        return self._alive

    def post(self, key: TrialKey, stop: Stop) -> None:
        self._bulletin.post.remote(key, stop)


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
        beside = check_room(specs)
        pool = bulletin = None
        if address is not None:
            pool = make_pool(specs, tell or (lambda line: None))
            beside = side_by_side(pool.places.values(), {spec.resources for spec in specs})
            # Where the driver is, and with it for as long as it lives.
            bulletin = _Bulletin.options(  # type: ignore[attr-defined]
                scheduling_strategy=_here()
            ).remote()
        # More than there is room for: the next trials wait where they will race. Unless what a
        # trial is given hangs on how others ended: then it waits here.
        most = max(_ALWAYS_AT_ONCE, 2 * beside) if limits is None else beside
        ordered = longest_last_stretch(specs, min(beside, at_once or beside))
        race = Race(ordered, watch, at_once or most, _RayFleet(bulletin), limits, pool)
        while race.unfinished:
            yield from race.look()
            check_interrupt()


def _here() -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
