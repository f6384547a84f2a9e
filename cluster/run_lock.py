"""One driver per run folder: two would race everything twice and supersede each other's records."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from cluster.spec import ClusterError, Tell
from scoring.ground.files import absent, named

NAME = "driver.lock"
_TRIES = 5
"""Who only asks whether a run is driven holds its lock for a moment."""
_throughout: set[str] = set()
"""Folders that this process holds, whatever it races there."""


@contextlib.contextmanager
def drive_throughout(run: Path, tell: Tell | None = None) -> Iterator[None]:
    """Hold the folder of a procedure that races in stages, also between them; as `drive`.

    Raises:
        ClusterError: as `drive` does.
    """
    place = os.path.realpath(run)
    with drive(run, tell):
        _throughout.add(place)
        try:
            yield
        finally:
            _throughout.remove(place)


@contextlib.contextmanager
def drive(run: Path, tell: Tell | None = None) -> Iterator[None]:
    """Hold the run folder for this process; the kernel lets go of it when the process ends.

    `tell` is called with a line where files cannot be locked, so that nothing is held. A folder
    that was made for it and holds nothing in the end goes again.

    Raises:
        ClusterError: another process drives this run, or there can be no such folder.
    """
    if os.path.realpath(run) in _throughout:
        yield
        return
    try:
        made = absent(run)
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ClusterError(
            f"{run}: cannot be used as a run folder: {error.strerror}; choose another"
        ) from None
    path = run / NAME
    descriptor = _lock(path, tell)
    try:
        os.ftruncate(descriptor, 0)
        holder = f"process {os.getpid()} on {platform.node()}\n{secrets.token_hex(16)}\n"
        with named(path):
            os.pwrite(descriptor, holder.encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)
        with contextlib.suppress(OSError):
            for folder in made:
                folder.rmdir()


def seal(run: Path) -> str:
    """What only its driver, and who sees the same folder, can know of a run; "" where none is."""
    with contextlib.suppress(OSError):
        return (run / NAME).read_text()
    return ""


def is_driven(run: Path) -> bool:
    """Whether a process drives the run now; one that was killed left its lock file, and no lock."""
    try:
        descriptor = os.open(run / NAME, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # held; or there are no locks here, and the file is all that is known
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _lock(path: Path, tell: Tell | None) -> int:
    tries = 0
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tries += 1
            if tries < _TRIES:
                os.close(descriptor)
                time.sleep(0.05)
                continue
            lines = os.pread(descriptor, 200, 0).decode(errors="replace").splitlines()
            holder = lines[0] if lines else "another process"
            os.close(descriptor)
            raise ClusterError(
                f"{path.parent}: {holder} is already racing this run; wait for it to end, or start "
                "another run with -o"
            ) from None
        except OSError as error:  # some shared file systems have no locks
            if tell:
                tell(
                    f"{path}: cannot be locked: {error.strerror}; make sure that no other process "
                    "races this run: it would go undetected"
                )
            return descriptor
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # its holder has just ended and removed it
