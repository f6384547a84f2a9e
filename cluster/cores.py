"""Exclusive cores: one lock file per core, held by the process responsible for a trial.

The kernel drops a lock when its process ends, however it ends, and a forked child lets go of its
parent's, so nothing is ever left locked; and since the files are the machine's, at one fixed place
whatever TMPDIR says, two runs on one machine never share a core. Containers are apart, unless
GRADATHLON_CORE_LOCKS names a folder that they share.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from cluster.spec import ClusterError

WAIT_S = 0.2
"""Between two looks for a free core."""
_held: set[IO[bytes]] = set()


def available_cores() -> list[int]:
    """The cores that this process may run on."""
    return sorted(os.sched_getaffinity(0))


@contextlib.contextmanager
def hold_cores(count: int, waiting: Callable[[], None] = lambda: None) -> Iterator[list[int]]:
    """Pin this process to `count` cores that no other trial holds, one thread a core.

    Must come before torch or jax are first imported: they size their thread pools at import, and
    read the affinity then. Calls `waiting` once when no core is free.

    Raises:
        ClusterError: the machine has fewer cores than `count`.
    """
    before = os.sched_getaffinity(0)
    with contextlib.ExitStack() as locks:
        warned = False
        while (held := lock_cores(count, locks)) is None:
            if not warned:
                waiting()
                warned = True
            time.sleep(WAIT_S)
        pin(set(held))
        try:
            yield held
        finally:
            pin(before)


def lock_cores(count: int, locks: contextlib.ExitStack) -> list[int] | None:
    """Take `count` cores until `locks` are closed; None where too few are free now.

    Raises:
        ClusterError: the machine has fewer cores than `count`, or no place for the locks.
    """
    cores = available_cores()
    if count > len(cores):
        raise ClusterError(
            f"a trial needs {count} cores, this machine offers {len(cores)}; "
            "lower `resources.cores` in the suite"
        )
    locked: list[tuple[int, IO[bytes]]] = []
    for core in cores:
        file = _lock(core)
        if file is None:
            continue
        locked.append((core, file))
        if len(locked) == count:
            for _, held in locked:
                _held.add(held)
                locks.callback(_let_go, held)
            return [core for core, _ in locked]
    for _, file in locked:  # too few: let others have them, or two trials could wait for ever
        file.close()
    return None


def check_locks() -> None:
    """See that cores of this machine can be held, before trials are sent to them.

    Raises:
        ClusterError: they cannot.
    """
    if file := _lock(available_cores()[0]):
        file.close()


def _lock(core: int) -> IO[bytes] | None:
    """The core's file, which holds it until it is closed; None where another trial has it."""
    # One folder for every user of the machine: whoever races, a core is raced on by one trial.
    folder = Path(os.environ.get("GRADATHLON_CORE_LOCKS", "/tmp/gradathlon-cores"))
    path = folder / f"core-{core}.lock"
    try:
        file = _opened(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise
    except BlockingIOError:
        return None
    except OSError as error:
        # Without locks all trials would be given the same core.
        raise ClusterError(
            f"{error.filename or path}: cannot be locked: {error.strerror}; set "
            "GRADATHLON_CORE_LOCKS to a writable local folder"
        ) from None
    return file


def _opened(path: Path) -> IO[bytes]:
    with contextlib.suppress(FileExistsError):
        path.parent.mkdir(parents=True)
        path.parent.chmod(0o777)
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    if new:
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, 0o666)
    return os.fdopen(descriptor, "r+b")


def _let_go(file: IO[bytes]) -> None:
    _held.discard(file)
    file.close()


def _close_in_child() -> None:
    for file in _held:
        os.close(file.fileno())  # the lock stays with the parent, and with it alone


os.register_at_fork(after_in_child=_close_in_child)


def pin(cores: set[int]) -> None:
    """Let this process, with every thread it has, run on these cores only."""
    # Threads that already run (Ray's own) keep their mask unless moved one by one.
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), cores)
