"""The clock of a race: it counts training only, is monotonic and survives a crash."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

# Bound when this module is imported, before any submission runs: replacing `time.perf_counter`
# later changes nothing here.
from resource import RUSAGE_CHILDREN as _CHILDREN
from resource import getrusage as _usage
from time import perf_counter_ns as _now_ns
from time import process_time_ns as _own_cpu_ns


@dataclasses.dataclass(frozen=True)
class Reading:
    """Seconds on the clock: monotonic wall time, and CPU time over all threads and children.

    A child's time counts once it has been waited for; what outlives the trial is the witness's.
    `compilations` is how often anything was compiled in that time.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    compilations: int = 0


class Clock:
    """A stopwatch that waits for the device before it stops.

    `barrier` returns once all work given to the device is done. `already` is what earlier
    attempts of the trial had on the clock at their checkpoint; time lost in a crash is not
    charged.
    """

    def __init__(
        self,
        barrier: Callable[[], None],
        already: Reading | None = None,
        compilations: Callable[[], int] = lambda: 0,
    ) -> None:
        already = already or Reading()
        self._barrier = barrier
        self._count = compilations
        self._before = 0
        self._compilations = already.compilations
        self._wall_ns = round(already.wall_s * 1e9)
        self._cpu_ns = round(already.cpu_s * 1e9)
        self._since: tuple[int, int] | None = None

    def start(self) -> None:
        """Charge time from now on."""
        if self._since is not None:
            raise RuntimeError("the clock is already running")
        self._barrier()  # work queued off the clock must not be charged
        self._before = self._count()
        self._since = (_now_ns(), _cpu_ns())

    def stop(self) -> Reading:
        """Wait for the device, stop, and read."""
        if self._since is None:
            raise RuntimeError("the clock is not running")
        self._barrier()
        wall_ns, cpu_ns = _now_ns(), _cpu_ns()
        self._wall_ns += wall_ns - self._since[0]
        self._cpu_ns += cpu_ns - self._since[1]
        self._since = None
        self._compilations += self._count() - self._before
        return self.read()

    def read(self) -> Reading:
        """The present reading; while running, work still queued on the device is not in it."""
        return Reading(self.wall_s(), self.cpu_s(), self._compilations)

    def wall_s(self) -> float:
        """As `read().wall_s`, quick enough to be asked at every step."""
        running = _now_ns() - self._since[0] if self._since is not None else 0
        return (self._wall_ns + running) / 1e9

    def cpu_s(self) -> float:
        """As `read().cpu_s`."""
        running = _cpu_ns() - self._since[1] if self._since is not None else 0
        return (self._cpu_ns + running) / 1e9


def _cpu_ns() -> int:
    children = _usage(_CHILDREN)
    return _own_cpu_ns() + round((children.ru_utime + children.ru_stime) * 1e9)
