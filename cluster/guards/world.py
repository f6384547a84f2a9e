"""A trial's process: global settings that a submission could change, and what it leaves behind.

The rule: what changes the arithmetic or takes more of the machine than was lent (gradient mode,
dtypes, precision, threads, affinity), or runs where the clock may stand (modes of torch, callbacks
of the garbage collector, hooks of every call, functions in the place of torch's), ends the trial as
`failed`, named in one line. What only lies about (threads, another folder, another handler for a
signal) is told in the outcome. Either is given back before the next trial.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading

from cluster.faults import signal_name
from cluster.guards.replaced import Functions
from cluster.guards.unasked import Unasked
from submissions.contract import SubmissionError

_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGALRM}
"""The last is the deadline's, which sets it anew."""
COPY = 70
"""How a copy of a trial's process ends."""


class World:
    """How the harness left the world, before the submission's file was run."""

    def __init__(self, framework: str, cores: int) -> None:
        self._cores = cores
        self._process = os.getpid()
        # Remembers the framework as it is now, and has all functions there to be remembered.
        importlib.import_module(f"cluster.learners.learner_{framework}")
        self._affinity = os.sched_getaffinity(0)
        self._folder = os.getcwd()
        self._threads = set(threading.enumerate())
        self._unasked = Unasked()
        self._functions = Functions()
        self._signals = {number: signal.getsignal(number) for number in _SIGNALS}

    def end_copies(self) -> None:
        """Where a submission forked and came back twice: there is one trial, and this is not it."""
        end_copies(self._process)

    def check(self) -> None:
        """See that nothing was changed that makes it another race.

        Raises:
            SubmissionError: something was: all of it, in one line.
        """
        self.end_copies()
        changes = self.taken()
        if changes:
            raise SubmissionError(
                f"the submission changed what the race fixes: {', '.join(changes)}; "
                "do not change process settings"
            )

    def taken(self) -> list[str]:
        """What was changed that makes it another race, one phrase each."""
        changes = self._unasked.taken()
        now = os.sched_getaffinity(0)
        if not now <= self._affinity:
            changes.append(f"it runs on cores {_listed(now)}, not {_listed(self._affinity)}")
        # Whatever is not imported cannot have been changed.
        if "cluster.learners.world_torch" in sys.modules:
            from cluster.learners import world_torch

            try:
                changes += world_torch.taken(self._cores)
            except Exception as error:  # its own functions may be another's by now
                changes.append(f"torch's settings cannot be read ({type(error).__name__})")
        if "jax" in sys.modules:
            from cluster.learners import world_jax

            changes += world_jax.taken()
        return changes

    def replaced(self) -> list[str]:
        """What stands in the place of the harness's own functions, one phrase each."""
        return [f"replaced: {name}" for name in self._functions.replaced()]

    def left(self) -> dict[str, object]:
        """What lies about, for the outcome."""
        threads = [thread for thread in threading.enumerate() if thread not in self._threads]
        leftovers: dict[str, object] = {"leftover_threads": len(threads)} if threads else {}
        if _folder() != self._folder:
            leftovers["changed_directory"] = _folder()
        odd = [
            signal_name(number)
            for number, handler in self._signals.items()
            if signal.getsignal(number) != handler
        ]
        return leftovers | ({"changed_signals": odd} if odd else {})

    def give_back(self) -> None:
        """Nothing of it is met by the next trial."""
        self._unasked.give_back()
        with contextlib.suppress(OSError):
            os.chdir(self._folder)
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._signals.items():
                if handler is not None and signal.getsignal(number) != handler:
                    signal.signal(number, handler)
        if "cluster.learners.world_torch" in sys.modules:
            from cluster.learners import world_torch

            world_torch.give_back(self._cores)
        if "jax" in sys.modules:
            from cluster.learners import world_jax

            world_jax.give_back()


def end_copies(process: int) -> None:
    """End this process, if it is a copy of that one."""
    if os.getpid() != process:
        os._exit(COPY)


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "one that is gone"


def _listed(cores: set[int]) -> str:
    return ",".join(map(str, sorted(cores)))
