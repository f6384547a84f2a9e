"""Code that Python calls implicitly, which could work off the clock, as in evaluations."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable
from typing import Any

_TIMERS = (signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
"""The third is the harness's own."""
_OURS = "jax."
"""JAX collects its own garbage in such a callback."""


class Unasked:
    """As the harness left it: who is called at collections of garbage, and at every call."""

    def __init__(self) -> None:
        self._callbacks = list(gc.callbacks)
        self._profile, self._trace = sys.getprofile(), sys.gettrace()
        self._timers = _running()

    def taken(self) -> list[str]:
        """What was added that the clock may miss, one phrase each."""
        changes = []
        if self._added():
            changes.append("a callback runs at every garbage collection")
        if sys.getprofile() is not self._profile or sys.gettrace() is not self._trace:
            changes.append("a hook of sys.setprofile or sys.settrace runs at every call")
        if not _running() <= self._timers:
            changes.append("a timer interrupts the trial")
        return changes

    def give_back(self) -> None:
        """Call nobody any more that the harness did not know."""
        for added in self._added():
            gc.callbacks.remove(added)
        if sys.getprofile() is not self._profile:
            sys.setprofile(self._profile)
        if sys.gettrace() is not self._trace:
            sys.settrace(self._trace)

        for timer in _running() - self._timers:
            signal.setitimer(timer, 0)

    def _added(self) -> list[Callable[..., Any]]:
        own = [one for one in gc.callbacks if not any(one is known for known in self._callbacks)]
        return [one for one in own if not f"{getattr(one, '__module__', '')}.".startswith(_OURS)]


def _running() -> set[int]:
    return {timer for timer in _TIMERS if any(signal.getitimer(timer))}
