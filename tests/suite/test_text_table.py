"""Tables of text on a terminal that is too narrow for them."""

from __future__ import annotations

import pytest

from suite.commands.list import _WORKLOADS, _workloads
from suite.text_table import columns, fitted


@pytest.mark.parametrize("width", [60, 80])
def test_what_is_too_wide_goes_on_beneath_and_nothing_is_lost(width: int) -> None:
    rows = list(_workloads("*-toy-*"))
    told = fitted(_WORKLOADS, rows, width)
    assert len(rows) > 20
    assert max(map(len, told.splitlines())) <= width
    words = [word.strip(";") for word in told.split()]
    for row in rows:
        assert row[0] in words
        assert all(word.strip(";") in words for cell in row for word in cell.split())


def test_what_fits_or_goes_to_no_terminal_is_one_line_a_row() -> None:
    head, rows = ("name", "what"), [("a", "b" * 30), ("cc", "d")]
    assert fitted(head, rows, 60) == fitted(head, rows) == columns(head, rows)
    assert len(fitted(head, rows, 20).splitlines()) > 3
