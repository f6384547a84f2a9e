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
from collections.abc import Iterator
from types import FrameType

NODE = "node"
"""In an outcome's `extra["fault"]`: the node's and not the submission's; raced again on resume."""


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


class Interrupts:
    """Tells a user's Ctrl-C, or SIGTERM, from a KeyboardInterrupt that a submission raises.

    While entered, both signals raise KeyboardInterrupt in the main thread and are remembered. In
    another thread it does nothing.
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
    """Stop here if the user asked for it, perhaps while a submission swallowed the interrupt.

    Raises:
        KeyboardInterrupt: while `Interrupts` are entered, and one came.
    """
    if any(interrupts.asked for interrupts in _entered):
        raise KeyboardInterrupt
