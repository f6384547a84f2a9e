"""How a trial can end: one table, which says all that any room asks of an end.

To add an end, add its name to `End` and its row to `ENDS`.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

End = Literal["reached", "lost", "budget", "pruned", "diverged", "failed"]


@dataclasses.dataclass(frozen=True)
class Ending:
    """One way to end.

    Attributes:
        name: the word in records.
        means: a sentence that says what happened.
        sign: what stands before the word where colour cannot be relied on.
        colour: good, bad or plain: how the word is drawn.
        met: whether the target was met.
        stopped: whether the trial was sound when it was stopped, so that its time to the target
            is longer than its last reading.
        whole: whether it ran to an end of its own, whatever others did.
        broken: whether its last values are no measurements to draw or to keep.
        fails_run: whether it makes the exit code of a run 1.
    """

    name: End
    means: str
    sign: str
    colour: Literal["good", "bad", "plain"] = "plain"
    met: bool = False
    stopped: bool = False
    whole: bool = False
    broken: bool = False
    fails_run: bool = False


_ROWS = (
    Ending("reached", "the target was met within the budget", "●", "good", met=True,
           whole=True),
    Ending("lost", "the target was met but not held long enough", "◐", whole=True),
    Ending("budget", "the budget was spent before the target was met", "○", stopped=True,
           whole=True),
    Ending("pruned", "stopped early: it could no longer change a score", "◌", stopped=True),
    Ending("diverged", "a metric was no longer finite", "▲", "bad", broken=True),
    Ending("failed", "the submission raised an error or its process died", "✕", "bad", broken=True,
           fails_run=True),
)  # fmt: skip
ENDS: dict[str, Ending] = {row.name: row for row in _ROWS}
"""Every end by its name, in the order in which a reader meets them."""
UNFINISHED = "unfinished"
"""What stands in tables for a trial that has no outcome; no end of a record."""


def sign_of(end: str) -> str:
    """The sign of an end, an ellipsis for a trial that has none."""
    return ENDS[end].sign if end in ENDS else "…"


def colour_of(end: str) -> str:
    """How an end is drawn: good, bad or plain."""
    return ENDS[end].colour if end in ENDS else "plain"


STOPPED = tuple(end.name for end in _ROWS if end.stopped)
WHOLE = tuple(end.name for end in _ROWS if end.whole)
