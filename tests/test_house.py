"""What keeps the house habitable: limits that reviews would otherwise argue about."""

from __future__ import annotations

import io
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("suite", "workloads", "submissions", "scoring", "cluster")
LONGEST_FILE = 400
MOST_ANY = 125
"""It was 344 when the families had landed. Never raise it: name the type."""


def sources() -> Iterator[Path]:
    return (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))


def count_any(text: str) -> int:
    """How often annotations (or anything but an import) say `Any`."""
    count, importing, fresh = 0, False, True
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NEWLINE:
            fresh = True
        elif token.type == tokenize.NAME:
            importing = token.string in ("import", "from") if fresh else importing
            fresh = False
            count += token.string == "Any" and not importing
    return count


def test_any_is_counted() -> None:
    text = "from typing import (\n    Any,\n)\n\nx: dict[str, Any] = {}  # Any\ny: 'Any'\nz = Any\n"
    assert count_any(text) == 2


def test_any_stays_rare() -> None:
    counts = Counter({path: count_any(path.read_text(encoding="utf-8")) for path in sources()})
    most = [f"{path.relative_to(ROOT)}: {count}" for path, count in counts.most_common(10)]
    assert counts.total() <= MOST_ANY, most


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_s_page_tells_what_each_of_its_files_is_for(room: str) -> None:
    page = (ROOT / room / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in (ROOT / room).glob("*.py")} - {"__init__.py"}
    assert (
        sorted(name for name in files if f"`{name}`" not in page and f"[{name}]" not in page) == []
    )


def test_files_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert {str(path): count for path, count in lengths.items() if count > LONGEST_FILE} == {}
