"""A node's data: fetched once, however many trials, runs and users begin on it at the same time."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Sequence

import workloads
from scoring.ground.cache import cache_folder
from workloads.contract import Workload

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
