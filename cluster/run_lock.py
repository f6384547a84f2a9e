"""One driver a run folder: two would race everything twice and supersede each other's records."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import secrets
from collections.abc import Iterator
from pathlib import Path

from cluster.spec import ClusterError

NAME = "driver.lock"


@contextlib.contextmanager
def drive(run: Path) -> Iterator[None]:
    """Hold the run folder for this process; the kernel lets go of it when the process ends.

    Raises:
        ClusterError: another process drives this run.
    """
    run.mkdir(parents=True, exist_ok=True)
    path = run / NAME
    descriptor = _lock(path)
    try:
        os.ftruncate(descriptor, 0)
        holder = f"process {os.getpid()} on {platform.node()}\n{secrets.token_hex(16)}\n"
        os.pwrite(descriptor, holder.encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def seal(run: Path) -> str:
    """What only its driver, and who sees the same folder, can know of a run; "" where none is."""
    with contextlib.suppress(OSError):
        return (run / NAME).read_text()
    return ""


def _lock(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lines = os.pread(descriptor, 200, 0).decode(errors="replace").splitlines()
            holder = lines[0] if lines else "another process"
            os.close(descriptor)
            raise ClusterError(
                f"{path.parent}: {holder} races this run already; wait for its end, or start "
                "another run with -o"
            ) from None
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # its holder has just ended and removed it
