"""Tables of text: aligned columns, the same on a terminal, in a file and in a pipe; Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """`head` and `rows` as lines, columns two spaces apart, without trailing spaces."""
    table = [list(head), *map(list, rows)]
    widths = [max(len(row[number]) for row in table) for number in range(len(head))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in table
    )
    return "\n".join(line.rstrip() for line in lines)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same as a table in GitHub's Markdown; the first column is set as code."""
    body = [[f"`{row[0]}`", *row[1:]] for row in rows]
    table = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in table)
