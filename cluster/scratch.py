"""A trial's private folder for temporary files: nothing in it reaches the next trial."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "gradathlon-trial-"
_NEW_S = 60.0
"""Younger ones are let be: between its making and its lock a folder looks like one left behind."""


@contextlib.contextmanager
def scratch() -> Iterator[str]:
    """A new folder, removed at the end; "" where a full disk gives none: the trial will tell.

    What trials whose supervisor was killed have left is removed as well.
    """
    _remove_left()
    folder, lock = "", -1
    with contextlib.suppress(OSError):
        folder = tempfile.mkdtemp(prefix=_PREFIX)
        lock = _locked(folder)
    try:
        yield folder
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        if lock >= 0:
            os.close(lock)


def _locked(folder: str | Path) -> int:
    """A descriptor that holds the folder: the kernel lets go of it when its process dies.

    Raises:
        OSError: another process holds it.
    """
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _remove_left() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # held, gone by now, or another user's
            if time.time() - folder.stat().st_mtime > _NEW_S:
                lock = _locked(folder)
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)
