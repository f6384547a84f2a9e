"""A node's data: fetched once, however many trials start at the same time.

What cannot be read of them is the node's fault, and never the submission's.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterator, Sequence

import workloads
from cluster.faults import NodeError
from scoring.ground.cache import cache_folder
from workloads.contract import Batch, Policy, Stream, Workload
from workloads.errors import WorkloadError

FETCH_S = 3600.0
"""For a node to fetch data, or to make them: the climate's take a quarter of an hour."""


def fetch_all(ids: Sequence[str]) -> None:
    """Fetch what these workloads train on.

    Raises:
        WorkloadError: it cannot be had here.
    """
    for id in ids:
        fetch_once(workloads.get(id))


def fetch_once(workload: Workload) -> None:
    """Fetch a workload's data, alone in its family: who comes meanwhile waits, and finds them.

    Raises:
        WorkloadError: they cannot be had here.
    """
    with _alone(workload.id.family):
        workload.fetch()


@contextlib.contextmanager
def _alone(family: str) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        # A cache that cannot be written may be whole: then there is nothing to fetch.
        with contextlib.suppress(OSError):
            folder = cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((folder / f"{family}.lock").open("ab"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def drawn_from(stream: Stream, policy: Policy) -> Callable[[], Batch]:
    """What draws the stream's next batch; it raises as `reading_data` does."""

    def draw() -> Batch:
        try:  # at every step, where a context manager would take its time
            return stream.next(policy)
        except (OSError, WorkloadError) as error:
            raise _unreadable(error) from error

    return draw


@contextlib.contextmanager
def reading_data() -> Iterator[None]:
    """Within, data are read.

    Raises:
        NodeError: they cannot be.
    """
    try:
        yield
    except (OSError, WorkloadError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> NodeError:
    return NodeError(f"the data cannot be read: {error}")
