"""What is the user's to mend, and the hint that helps to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Base of every error whose mending is the user's: one line, what is wrong, where, what to do.

    The command line prints it without a traceback and ends with exit code 2. Whatever is not a
    `UserError` is a defect of Gradathlon's.
    """


def nearest(word: str, valid: Iterable[str]) -> str:
    """`; did you mean 'x'?` when a valid word is near, else `; known: ...`, else nothing."""
    words = sorted(set(valid))
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(words)}" if words else ""
