"""What a submission opened, started, connected to and inspected: noted, and nothing prevented.

Python tells its own hook of such calls. Only those with a frame of the submission's files on the
stack are noted, and of files only what was read outside of what Python, its packages and the data
are made of, or written outside of caches. Not sound against malice, since a hook sees Python alone;
it makes a review cheap.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path
from types import FrameType
from typing import cast

MOST = 20
"""Entries of one trial, each told once."""
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
_SYSTEM = (
    *("/dev/", "/sys/", "/etc/", "/usr/", "/lib/", "/lib64/", "/proc/cpuinfo/", "/proc/meminfo/"),
    f"{os.path.realpath(tempfile.gettempdir())}/torchinductor_",
)
"""Where libraries look for themselves."""
_SHARED = "/dev/shm/"
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_EVENTS = frozenset(("open", *_STARTS, *_CONNECTS, *_INSPECTS))


class Audit:
    """The notes of this process's one trial."""

    def __init__(self) -> None:
        self._files: frozenset[str] = frozenset()
        self._run = ""
        self._allowed: tuple[str, ...] = ()
        self._written: tuple[str, ...] = ()
        self._seen: dict[str, None] = {}
        self._busy = False

    def watch(self, files: Collection[str], run: Path, allowed: Iterable[Path]) -> None:
        """Note from now on what the code of these files does.

        The first is the submission's main file, beside which it may read what it likes, as under
        `allowed`, where it may write, too; never in the folder of the run.
        """
        own = os.path.dirname(os.path.abspath(next(iter(files))))
        self._files = frozenset(files)
        self._run = _folder(run)
        roots: list[str | Path] = [own, sys.prefix, sys.base_prefix, *sys.path, *allowed]
        self._written = (*_SYSTEM, *map(_folder, allowed))
        self._allowed = (*_SYSTEM, *(_folder(root) for root in roots if str(root) not in ("", "/")))
        sys.addaudithook(self._hook)

    def seen(self) -> list[str]:
        """One phrase an entry, in the order in which they happened."""
        return list(self._seen)

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in _EVENTS or self._busy or len(self._seen) >= MOST:
            return
        self._busy = True  # looking at frames is an event too
        try:
            # What merely passes through other code on its way is that code's doing.
            depth = 1 if event in _INSPECTS else _DEPTH
            if self._is_own(sys._getframe(1), depth):
                line = self._told(event, arguments)
                if line:
                    self._seen[line] = None
        finally:
            self._busy = False

    def _is_own(self, frame: FrameType | None, depth: int) -> bool:
        for _ in range(depth):
            if frame is None:
                return False
            if frame.f_code.co_filename in self._files:
                return True
            frame = frame.f_back
        return False

    def _told(self, event: str, arguments: tuple[object, ...]) -> str:
        if event == "open":
            mode, flags = arguments[1], cast(int, arguments[2])
            writes = bool(flags & _WRITES) if mode is None else not {*"wax+"}.isdisjoint(str(mode))
            return self._opened(cast(str, arguments[0]), writes)
        if event in _INSPECTS:
            return f"inspected: {event}"
        verb = "started" if event in _STARTS else "connected"
        what = next((str(value) for value in arguments if value), "")
        return f"{verb}: {event} {what}"[:_LENGTH]

    def _opened(self, path: str | bytes | int, writes: bool) -> str:
        if isinstance(path, int):
            return ""
        real = os.path.realpath(os.fsdecode(path))
        usual = f"{real}/".startswith(self._written if writes else self._allowed)
        usual |= writes and "/__pycache__/" in real
        kept = real.startswith((self._run, _SHARED))  # from one trial to another
        return "" if usual and not kept else f"{'wrote' if writes else 'opened'}: {real}"[:_LENGTH]


def _folder(path: str | Path) -> str:
    return os.path.realpath(path).rstrip("/") + "/"


AUDIT = Audit()
"""A hook cannot be taken back: one a process, in that of a trial alone."""
