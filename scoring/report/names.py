"""Names in plots: the room that they take, and what is left out of a very long one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from scoring.records import Record, run_of

SIZE, PHONE = 12.0, 15.5
"""The size of a plot's text in its own units, and on a phone's narrow page."""
LONGEST = 28
"""Characters: of a few shipped ids the middle is left out, lest a phone's plot be all names."""
ACROSS = 54
"""Characters that a line of text across a plot may have, on a phone, too."""
_NARROW, _WIDE = frozenset("ijlI.,:;'|![] "), frozenset("mwMW+@%…")
_EM = {"narrow": 0.36, "wide": 1.0, "plain": 0.645, "capital": 0.8}
"""Widths of DejaVu Sans, the widest of the fonts that a page asks for, in text sizes."""


def clipped(name: str, length: int = LONGEST) -> str:
    """The name, with an ellipsis for the middle of what is longer: variants differ at the end."""
    if len(name) <= length:
        return name
    tail = (length - 1) // 2
    return f"{name[: length - 1 - tail]}…{name[len(name) - tail :]}"


def room(names: Iterable[str], size: float = SIZE) -> int:
    """What the widest of some names, clipped, takes at most."""
    return math.ceil(size * max((_width(clipped(name)) for name in names), default=0.0))


def run_names(records: Sequence[Record]) -> Mapping[Path, str]:
    """By folder, what to call the runs of several; nothing where they are of one run.

    Of folders of one name as much of their paths is told as makes them differ.
    """
    runs = sorted({run_of(record.path) for record in records})
    if len(runs) < 2:
        return {}
    depth = 1
    while len({run.parts[-depth:] for run in runs}) < len(runs):
        depth += 1
    return {run: "/".join(run.parts[-depth:]) for run in runs}


def _width(name: str) -> float:
    return sum(_EM[_kind(letter)] for letter in name)


def _kind(letter: str) -> str:
    if letter in _NARROW:
        return "narrow"
    if letter in _WIDE or ord(letter) > 0x2E7F:  # ideographs are as wide as they are high
        return "wide"
    return "capital" if letter.isupper() else "plain"
