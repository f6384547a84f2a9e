"""A process and its descendants: their CPU time, memory and termination."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

_ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PATIENCE_S = 5.0


def adopt_orphans() -> None:
    """Become the parent of whatever descendants lose theirs: none can slip away."""
    ctypes.CDLL(None).prctl(_ADOPT_ORPHANS, 1)


def descendants(root: int, spare: frozenset[int] = frozenset()) -> Iterator[int]:
    """Every process below `root`, by the kernel's own lists, but `spare` and what is below it."""
    for task in _tasks(root):
        with contextlib.suppress(OSError):
            for child in map(int, (task / "children").read_text().split()):
                if child not in spare:
                    yield child
                    yield from descendants(child, spare)


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, its threads, the children it waited for, and those alive."""
    return sum(_cpu_s(one) for one in (pid, *descendants(pid)))


def private_bytes(pid: int) -> int:
    """Memory of a process and its descendants; what copies of a process share, once for each."""
    return sum(_private_bytes(one) for one in (pid, *descendants(pid)))


def proportional_bytes(pid: int) -> int:
    """As `private_bytes`, but what is shared counts once; the kernel takes milliseconds to say."""
    return sum(_proportional_bytes(one) for one in (pid, *descendants(pid)))


def end_all(root: int, spare: frozenset[int] = frozenset()) -> int:
    """Kill and reap everything below `root`, this process, but `spare`; how many there were."""
    killed: set[int] = set()
    until = time.monotonic() + _PATIENCE_S
    while processes := list(descendants(root, spare)):
        for pid in filter(alive, processes):
            killed.add(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in processes:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > until:
            break
        time.sleep(0.005)
    return len(killed)


def end(process: BaseProcess) -> None:
    """Kill what multiprocessing started, with all that descends from it, and reap it."""
    for pid in [*descendants(process.pid or 0)] if process.is_alive() else ():
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    process.kill()
    process.join()


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Whether it runs; one that has ended and waits to be reaped does not."""
    fields = _fields(pid)
    return bool(fields) and fields[0] != "Z"


def _cpu_s(pid: int) -> float:
    return sum(map(int, _fields(pid)[11:15])) / _TICKS


def _private_bytes(pid: int) -> int:
    try:
        resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[1:3]
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * _PAGE


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        facts = dict(line.split(":", 1) for line in lines[1:])
        return 1024 * int(facts["Pss_Anon"].split()[0])
    except (OSError, ValueError, LookupError):  # an older kernel, or it may not be looked at
        return _private_bytes(pid)


def memory_share(cores: int) -> int:
    """Bytes that a trial on so many of this machine's cores may hold."""
    total = os.sysconf("SC_PHYS_PAGES") * _PAGE
    with contextlib.suppress(OSError, ValueError):
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return int(0.9 * total * cores / max(cores, len(os.sched_getaffinity(0))))
