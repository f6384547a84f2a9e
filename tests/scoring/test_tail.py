"""A record followed while it is written: every line once, whole, in order."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from scoring.tail import Tail

TEXT = st.text("ab{}é ", max_size=8).map(str.encode)


@given(lines=st.lists(TEXT, max_size=8), data=st.data())
def test_however_a_record_grows_each_line_comes_once_when_it_is_whole(
    lines: list[bytes], data: st.DataObject
) -> None:
    text = b"".join(line + b"\n" for line in lines) + data.draw(TEXT)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "record.jsonl")
        tail, seen = Tail(path), []
        assert not tail.has_news
        for cut in [*cuts, len(text)]:
            path.write_bytes(text[:cut])
            seen += tail.lines()
            assert seen == text[:cut].split(b"\n")[:-1]
        assert tail.has_news == (not text.endswith(b"\n") and text != b"")
