"""A record followed while another process writes it: of each look, the lines that are new."""

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
        """Those that have become whole since the last look; one that is being written is left.

        Raises:
            OSError: the record cannot be read.
        """
        with self.path.open("rb") as file:
            file.seek(self._seen)
            fresh = file.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._seen += len(whole)
        return whole.splitlines()
