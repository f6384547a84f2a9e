"""Tables of text: aligned columns, the same on a terminal, in a file and in a pipe; Markdown."""

from __future__ import annotations

import itertools
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TextIO

_GAP = 2


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """`head` and `rows` as lines, columns two spaces apart, without trailing spaces."""
    table = [list(head), *map(list, rows)]
    widths = [max(len(row[number]) for row in table) for number in range(len(head))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in table
    )
    return "\n".join(line.rstrip() for line in lines)


def fitted(head: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """As `columns`; what is wider than the terminal goes on beneath each row, indented.

    Where stdout is no terminal, and no width is given, a row stays on its line.
    """
    if width is None and not sys.stdout.isatty():
        return columns(head, rows)
    width = width or shutil.get_terminal_size().columns
    table = [list(head), *map(list, rows)]
    ends = itertools.accumulate(
        (max(len(row[number]) for row in table) + _GAP for number in range(len(head))),
    )
    count = max(1, sum(end - _GAP <= width for end in ends))
    if count == len(head):
        return columns(head, rows)
    heads, *firsts = columns(head[:count], [row[:count] for row in rows]).splitlines()
    lines = [heads, *_beneath(head[count:], width)]
    for first, row in zip(firsts, rows, strict=True):
        lines += [first, *_beneath(row[count:], width)]
    return "\n".join(lines)


def wrapped(line: str, stream: TextIO) -> str:
    """A line of words, which on a terminal goes on beneath itself, indented."""
    if not stream.isatty():
        return line
    margin = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(
        line,
        shutil.get_terminal_size().columns,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _beneath(cells: Sequence[str], width: int) -> list[str]:
    text = "; ".join(cell for cell in cells if cell)
    return textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="    ")


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same as a table in GitHub's Markdown; the first column is set as code."""
    body = [[f"`{row[0]}`", *row[1:]] for row in rows]
    table = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in table)
