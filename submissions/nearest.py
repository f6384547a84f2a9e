"""The hint at the end of a message about an unknown word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, valid: Iterable[str]) -> str:
    """`; did you mean 'x'?` when a valid word is near, else `; known: ...`, else nothing."""
    words = sorted(set(valid))
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(words)}" if words else ""
