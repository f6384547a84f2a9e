"""What a submission opened, started, connected to and inspected: recorded, not prevented.

Python tells its own hook of such calls. Only those with a frame of the submission's files on the
stack are noted, and of files only what was read outside of what Python and its packages are made
of, or written outside of the trial's own scratch folder (`opened.py`). Not sound against malice,
since a hook sees Python alone; it makes a review cheap.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from cluster.guards.opened import FILES, Places, by_compiler

MOST = 20
"""Entries of one trial and kind, each told once."""
_DEPTH, _LENGTH = 60, 200
_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn")
_CONNECTS = ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo")
_INSPECTS = (
    "sys._getframe",
    "gc.get_objects",
    "gc.get_referrers",
    "sys.settrace",
    "sys.addaudithook",
)
_EVENTS = frozenset((*FILES, *_STARTS, *_CONNECTS, *_INSPECTS))


class Audit:
    """The notes of the trial that this process races."""

    def __init__(self) -> None:
        self._files: frozenset[str] = frozenset()
        self._places: Places | None = None
        self._seen: dict[str, None] = {}
        self._counts: Counter[str] = Counter()
        self._busy = self._hooked = False

    def watch(
        self, files: Collection[str], run: Path, caches: Iterable[Path], scratch: str = ""
    ) -> None:
        """Note from now on what the code of these files does, the submission's main file first.

        The others are for `Places`.
        """
        own = Path(next(iter(files))).absolute().parent
        self._seen, self._counts = {}, Counter()
        self._places = Places(own, run, caches, scratch)
        self._files = frozenset(files)
        if not self._hooked:
            sys.addaudithook(self._hook)
            self._hooked = True

    def rest(self) -> None:
        """Note nothing any more, until there is another trial to watch."""
        self._files = frozenset()
        self._seen = {}

    def seen(self) -> list[str]:
        """One phrase an entry, in the order in which they happened."""
        return list(self._seen)

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._files or self._busy or event not in _EVENTS:
            return
        self._busy = True  # looking at frames is an event too
        try:
            # What merely passes through other code on its way is that code's doing.
            depth = 1 if event in _INSPECTS else _DEPTH
            by = self._by(sys._getframe(1), depth)
            if by is not None:
                for line in self._told(event, arguments, by):
                    self._note(line[:_LENGTH])
        finally:
            self._busy = False

    def _note(self, line: str) -> None:
        kind = line.partition(":")[0]
        if line not in self._seen and self._counts[kind] < MOST:
            self._counts[kind] += 1
            self._seen[line] = None

    def _by(self, frame: FrameType | None, depth: int) -> list[str] | None:
        """The files of the code that the submission called to this end; None if it did not."""
        by: list[str] = []
        for _ in range(depth):
            if frame is None:
                return None
            name = frame.f_code.co_filename
            if name in self._files:
                return by
            by.append(name)
            frame = frame.f_back
        return None

    def _told(self, event: str, arguments: tuple[object, ...], by: Sequence[str]) -> Iterator[str]:
        if event in FILES:
            assert self._places
            yield from self._places.told(event, arguments, by)
        elif event in _INSPECTS:
            yield f"inspected: {event}"
        elif not (event in _STARTS and by_compiler(by)):
            verb = "started" if event in _STARTS else "connected"
            yield f"{verb}: {event} {next((str(value) for value in arguments if value), '')}"


AUDIT = Audit()
"""A hook cannot be taken back: one a process that races trials, and in no other."""
