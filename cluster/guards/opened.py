"""Which files code may open without a remark, and the remarks on the others.

`carried` is what may have come from an earlier trial: what was written since the run began, lies in
the run's folder, or where all processes share.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_ALTERS = ("os.truncate", "os.utime", "os.setxattr", "os.chmod", "os.chown")
_LOOKS = ("os.listdir", "os.scandir", "os.getxattr", "os.listxattr")
_MOVES = ("os.rename", "os.link")
FILES = frozenset(
    ("open", "os.mkdir", "mmap.__new__", "sqlite3.connect", *_ALTERS, *_LOOKS, *_MOVES)
)
"""What Python tells its hook of files."""
_SYSTEM = (
    *("/dev/", "/sys/", "/etc/", "/usr/", "/lib/", "/lib64/", "/proc/cpuinfo/", "/proc/meminfo/"),
)
"""Where libraries look for themselves."""
_SINKS = ("/dev/null/", "/dev/tty/", "/dev/pts/", "/dev/stdout/", "/dev/stderr/")
_SHARED = "/dev/shm/"
_COMPILERS = ("/torch/_inductor/", "/torch/_dynamo/", "/triton/", "/jax/_src/")
"""Whose code, called by a submission's, may use caches."""
_CODE = (".py", ".pyc", ".so")


class Access(NamedTuple):
    """A path, and what is about to be done to it; `anew` where nothing of before will be left."""

    path: str
    reads: bool
    writes: bool
    anew: bool = False


class Places:
    """What one trial may open unsaid, and what it made itself."""

    def __init__(self, own: Path, run: Path, caches: Iterable[Path], scratch: str) -> None:
        """Those of a trial.

        Args:
            own: the submission's folder, in which it may read what it likes.
            run: in which it may read nothing.
            caches: folders for the harness and for compilers alone.
            scratch: the trial's own folder for temporary files, "" where it has none.
        """
        rooms = Path(__file__).parents[2]
        self._run, self._since = _folder(run), _began(run)
        self._harness = tuple(f"{rooms / name}/" for name in ("cluster", "workloads"))
        self._caches = tuple(map(_folder, caches))
        self._unsaid = (*_SINKS, *((_folder(scratch),) if scratch else ()))
        roots: list[str | Path] = [own, sys.prefix, sys.base_prefix, *sys.path]
        self._allowed = (*_SYSTEM, *(_folder(root) for root in roots if str(root) not in ("", "/")))
        self._made: set[str] = set()

    def told(self, event: str, arguments: Sequence[object], by: Sequence[str]) -> Iterator[str]:
        """What is to be said of an event of `FILES`; `by` are the files of the code that caused it.

        Those of the submission are none of them.
        """
        for access in accesses(event, arguments):
            if access.path:
                yield from self._opened(access, by)

    def _opened(self, access: Access, by: Sequence[str]) -> Iterator[str]:
        real = os.path.realpath(access.path)
        place = f"{real}/"
        if place.startswith(self._unsaid) or self._is_cache(place, by):
            return
        if access.reads and real not in self._made and (verb := self._verb(real, place)):
            yield f"{verb}: {real}"
        if access.writes and not ("/__pycache__/" in place and any("importlib" in b for b in by)):
            yield f"wrote: {real}"
            if access.anew:
                self._made.add(real)

    def _is_cache(self, place: str, by: Sequence[str]) -> bool:
        """Whether it is a cache, opened by who may use it."""
        ours = any(name.startswith(self._harness) for name in by)
        return place.startswith(self._caches) and (ours or by_compiler(by))

    def _verb(self, real: str, place: str) -> str:
        if place.startswith((self._run, _SHARED)):
            return "carried"
        if place.startswith(_SYSTEM):
            return ""
        if not real.endswith(_CODE) and _changed(real) > self._since:
            return "carried"
        usual = place.startswith(self._allowed) and not place.startswith(self._caches)
        return "" if usual else "opened"


def by_compiler(by: Sequence[str]) -> bool:
    """Whether a compiler's code is among these files."""
    return any(part in name for name in by for part in _COMPILERS)


def accesses(event: str, arguments: Sequence[object]) -> Iterator[Access]:
    """What one of `FILES` tells."""
    path = _text(arguments[0])
    if event == "open":
        mode, flags = arguments[1:3]
        opening = _opening(path, mode, flags if isinstance(flags, int) else 0)
        # A folder is written to by `tempfile` alone, whose opener names the file itself.
        if not (opening.writes and os.path.isdir(path)):
            yield opening
    elif event == "mmap.__new__":
        if path.startswith(_SHARED):  # what else is mapped was opened before
            yield Access(path, reads=True, writes=True)
    elif event == "os.mkdir":
        if not os.path.lexists(path):
            yield Access(path, reads=False, writes=True, anew=True)
    elif event in _MOVES:
        yield Access(path, reads=True, writes=False)
        yield Access(_text(arguments[1]), reads=False, writes=True, anew=True)
    else:
        yield Access(path, reads=event not in _ALTERS, writes=event not in _LOOKS)


def _opening(path: str, mode: object, flags: int) -> Access:
    if isinstance(mode, str):
        reads, writes = not {*"r+"}.isdisjoint(mode), not {*"wax+"}.isdisjoint(mode)
        emptied = "w" in mode
    else:
        kind = flags & os.O_ACCMODE
        reads, writes = kind != os.O_WRONLY, kind != os.O_RDONLY or bool(flags & os.O_CREAT)
        emptied = bool(flags & os.O_TRUNC)
    anew = writes and ((emptied and os.access(path, os.W_OK)) or not os.path.lexists(path))
    # What is about to be emptied is not read.
    return Access(path, reads and not anew, writes, anew)


def _text(path: object) -> str:
    """A path as text, "" for what has none, such as a pipe or a database in memory.

    Of what is open already only what all processes share has one: the rest was told before.
    """
    if path is None:
        return "."
    if isinstance(path, int):
        try:
            path = os.readlink(f"/proc/self/fd/{path}")
        except OSError:
            return ""
        return path if path.startswith(_SHARED) else ""
    text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
    return "" if text == ":memory:" else text


def _folder(path: str | Path) -> str:
    return os.path.realpath(path).rstrip("/") + "/"


def _began(run: Path) -> float:
    """When the run's plan was written; never, where it has none."""
    try:
        return (run / "run.yaml").stat().st_mtime
    except OSError:
        return math.inf


def _changed(path: str) -> float:
    """When a file that holds anything was last changed, by the kernel's own word; else long ago."""
    try:
        about = os.stat(path)
    except (OSError, ValueError):
        return -math.inf
    return about.st_ctime if stat.S_ISREG(about.st_mode) and about.st_size else -math.inf
