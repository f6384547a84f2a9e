"""Follows a record while another process writes it: each look returns the new lines."""

from __future__ import annotations

from pathlib import Path


class Tail:
    """The lines of one record, in the order in which they are written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = 0

    @property
    def has_news(self) -> bool:
        """Whether the record has grown since the last look."""
        try:
            return self.path.stat().st_size > self._seen
        except OSError:
            return False

    def lines(self) -> list[bytes]:
        """The lines completed since the last look, without a line still being written.

        Raises:
            OSError: the record cannot be read.
        """
        with self.path.open("rb") as file:
            file.seek(self._seen)
            fresh = file.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._seen += len(whole)
        return whole.splitlines()
