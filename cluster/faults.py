"""Whose fault it is: the submission's, the node's, or the run's.

- The submission's: whatever is raised while its code runs, `KeyboardInterrupt` and `SystemExit`
  included, and its process's end by its own doing. The trial's outcome is `failed`.
- The node's: data that cannot be had, a full disk, a process ended from outside. `NodeError`; the
  executor puts the trial back, so often and no more, and progress resets the count.
- The run's: no cluster, no room, an interrupt by the user. Every trial stops, and can go on.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

NODE = "node"
"""In an outcome's `extra["fault"]`: the node's and not the submission's; raced again on resume."""
_REMOVAL_S = 1.0
LONGEST = 1000
"""Characters of what is told of an error; the traceback holds more."""


class NodeError(Exception):
    """The place where a trial races lets it down: one line that says what."""


@contextlib.contextmanager
def ours(doing: str) -> Iterator[None]:
    """What fails herein is not the submission's doing.

    Raises:
        NodeError: instead of whatever else is raised.
    """
    try:
        yield
    except NodeError:
        raise
    except Exception as error:
        text = " ".join(f"{error}".split()) or type(error).__name__
        raise NodeError(f"{doing}: {text}") from error


_CODE = Path(__file__)


def check_code(error: BaseException) -> None:
    """See that our own code is still there, before an error is laid at a submission's door.

    A cluster removes its copy of it when the driver dies, under the feet of what still runs.

    Raises:
        NodeError: it is gone.
    """
    if isinstance(error, ImportError):
        time.sleep(_REMOVAL_S)  # what is being removed goes file by file
    if not _CODE.exists():
        raise NodeError("its copy of Gradathlon's code is gone") from error


def as_raised(error: BaseException) -> BaseException:
    """What was raised, where a generator of ours has made another error of it."""
    cause = error.__cause__
    return cause if isinstance(error, RuntimeError) and isinstance(cause, StopIteration) else error


def told(error: BaseException, *, kind: bool = True) -> str:
    """An error in one line of bounded length, its kind first; its text may be anyone's code."""
    try:
        text = str(error)
    except BaseException:  # what a submission raises may raise when it is told
        text = "its message cannot be read"
    text = printable(" ".join(text.split()))
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    name = type(error).__name__
    return f"{name}: {text}" if kind and text else text or name


def printable(text: str) -> str:
    """What no terminal obeys and every file can hold, in the place of what is none of it."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def how_ended(exit_code: int | None) -> str:
    """A process's exit code in words: the signal's name where one ended it."""
    if exit_code is None or exit_code >= 0:
        return f"exit code {exit_code}"
    return signal_name(-exit_code)


def signal_name(number: int) -> str:
    """As SIGTERM; those of real time have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Interrupts:
    """Tells a user's Ctrl-C, or SIGTERM, from a KeyboardInterrupt that a submission raises.

    While entered, both signals raise KeyboardInterrupt in the main thread and are remembered: where
    nobody can end by it, as in a callback of the garbage collector (JAX has one), it is lost, so
    that who races asks `check_interrupt` between steps. In another thread it does nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        """Whether the user, or the system, wants this process to stop."""
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interrupts:
        _entered.append(self)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *error: object) -> None:
        _entered.remove(self)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        raise KeyboardInterrupt


_entered: list[Interrupts] = []


def check_interrupt() -> None:
    """Stop here if the user asked for it, and the interrupt was swallowed.

    Raises:
        KeyboardInterrupt: while `Interrupts` are entered, and one came.
    """
    if any(interrupts.asked for interrupts in _entered):
        raise KeyboardInterrupt
