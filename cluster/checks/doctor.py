"""Whether a machine is fit to race on: one finding per check, with what to do about it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from cluster.checks import packages
from cluster.cores import available_cores
from cluster.hardware import accelerators, versions
from scoring.ground.cache import cache_folder

State = Literal["ok", "warn", "fail"]
_CGROUP = Path("/sys/fs/cgroup")
_CPUS = Path("/sys/devices/system/cpu")
_GB = 1e9
_SPREAD = 0.03
_KERNELS = 60


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a check found, and what to do where that is not well."""

    check: str
    state: State
    found: str
    advice: str = ""


def examine(folder: Path | None = None) -> list[Finding]:
    """Every check of this machine; `folder` is where runs would go. Takes some two seconds."""
    return [
        *_standing(),
        _kernel(),
        *_packages(),
        _accelerators(),
        *_disks(folder or Path.cwd()),
        _memory(),
        _shared_memory(),
        _sockets(),
    ]


def notes() -> list[str]:
    """What a record should say of this machine beside its fingerprint; asks for milliseconds."""
    return [f"{one.check}: {one.found}" for one in _standing() if one.state != "ok"]


def _standing() -> Iterator[Finding]:
    for check in (_clock, _pinning, _quota, _siblings, _load):
        yield check()


def _clock() -> Finding:
    step = min(_tick(time.perf_counter) for _ in range(20))
    cpu = min(_tick(time.process_time) for _ in range(20))
    reading = f"ticks of {step * 1e9:.0f} ns; of CPU time, {cpu * 1e9:.0f} ns"
    if step < 1e-4 and cpu < 2e-2:
        return Finding("clock", "ok", reading)
    advice = "times of short trials are coarse here; race on the steps clock"
    return Finding("clock", "warn", reading, advice)


def _tick(clock: Callable[[], float]) -> float:
    began = clock()
    while (now := clock()) == began:
        pass
    return now - began


def _pinning() -> Finding:
    """Asked in a thread, which alone is pinned for the moment that it takes."""
    cores = available_cores()
    failed: list[str] = []

    def ask() -> None:
        for core in (cores[0], cores[-1]):
            try:
                os.sched_setaffinity(0, {core})
            except OSError as error:
                failed.append(str(error))
            else:
                if os.sched_getaffinity(0) != {core}:
                    failed.append(f"pinned to core {core}, it may run elsewhere")

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    if failed:
        advice = "trials would share cores; use a container that may set CPU affinity"
        return Finding("pinning", "fail", failed[0], advice)
    return Finding("pinning", "ok", f"{len(cores)} cores, each can be pinned")


def _quota() -> Finding:
    lent, cores = quota(), len(available_cores())
    if lent is None:
        return Finding("CPU quota", "ok", "none")
    reading = f"quota of {lent:g} CPUs, on {cores} cores"
    if lent >= cores:
        return Finding("CPU quota", "ok", reading)
    advice = (
        f"trials would be throttled; race {max(1, int(lent))} at once (--at-once), or "
        "give the container whole cores (docker --cpuset-cpus, Kubernetes' static CPU manager)"
    )
    return Finding("CPU quota", "warn", reading, advice)


def quota(cgroup: Path = _CGROUP) -> float | None:
    """CPU seconds a second that the container may use; None where nothing limits it."""
    with contextlib.suppress(OSError, ValueError):
        most, period = (cgroup / "cpu.max").read_text().split()
        return None if most == "max" else int(most) / int(period)
    with contextlib.suppress(OSError, ValueError):
        most, period = (
            (cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
        )
        return None if int(most) <= 0 else int(most) / int(period)
    return None


def _siblings() -> Finding:
    shared = siblings(available_cores())
    if not shared:
        return Finding("SMT siblings", "ok", "no two of these CPUs share a core")
    pairs = ", ".join("+".join(map(str, group)) for group in shared[:4])
    more = ", ..." if len(shared) > 4 else ""
    alone = len(available_cores()) - sum(len(group) - 1 for group in shared)
    advice = (
        f"trials on both would slow each other down; race {alone} at once (--at-once {alone}), or "
        "start under `taskset` with one thread per core"
    )
    return Finding("SMT siblings", "warn", f"CPUs that share a core: {pairs}{more}", advice)


def siblings(cores: list[int], cpus: Path = _CPUS) -> list[list[int]]:
    """Groups of these cores, of two and more, that are hardware threads of one."""
    groups: dict[str, list[int]] = {}
    for core in cores:
        with contextlib.suppress(OSError):
            text = (cpus / f"cpu{core}" / "topology" / "thread_siblings_list").read_text()
            groups.setdefault(text.strip(), []).append(core)
    return [group for group in groups.values() if len(group) > 1]


def _load() -> Finding:
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    reading = f"{load:.1f} runnable processes on {cores} cores"
    if load < 0.5 * cores + 0.5:
        return Finding("load", "ok", reading)
    advice = "other processes use the CPU; stop them, or race on the paired or steps clock"
    return Finding("load", "warn", reading, advice)


def _kernel() -> Finding:
    seconds = _kernel_seconds()
    deciles = statistics.quantiles(seconds, n=10)
    middle = statistics.median(seconds)
    spread = (deciles[-1] - deciles[0]) / middle
    reading = f"{1e3 * middle:.2f} ms, spread {100 * spread:.1f} % (p10 to p90)"
    if spread < _SPREAD:
        return Finding("reference kernel", "ok", reading)
    advice = "timings vary here; race on the paired or steps clock, or on a quieter machine"
    return Finding("reference kernel", "warn", reading, advice)


def _kernel_seconds() -> list[float]:
    """Seconds of some work that needs no other thread, repeated; the first ones warm it up."""
    import numpy as np

    values = np.random.default_rng(0).standard_normal(100_000)
    seconds = []
    for _ in range(_KERNELS + 5):
        began = time.perf_counter()
        np.sort(np.tanh(values))
        seconds.append(time.perf_counter() - began)
    return seconds[5:]


def _packages() -> Iterator[Finding]:
    installed = versions()
    for name, wanted in packages.pins().items():
        has = installed[name]
        if has == "not installed":
            yield Finding(name, "fail", has, f"pip install '{name}{wanted}'")
        elif not packages.fits(has, wanted):
            advice = f"Gradathlon is pinned to {wanted}: pip install '{name}{wanted}'"
            yield Finding(name, "warn", has, advice)
        else:
            yield Finding(name, "ok", has)


def _accelerators() -> Finding:
    devices = accelerators()
    if devices:
        names = ", ".join(f"{one['name']} ({one['memory']})" for one in devices)
        reading = f"{names}; driver {devices[0]['driver']}"
        return Finding("accelerators", "ok", reading)
    if shutil.which("nvidia-smi"):
        advice = "check the output of `nvidia-smi`; trials with `gpus: 0` still race"
        return Finding("accelerators", "warn", "nvidia-smi lists none", advice)
    return Finding("accelerators", "ok", "none; trials with `gpus: 0` race here")


def _disks(folder: Path) -> Iterator[Finding]:
    places = {"runs": folder, "data cache": cache_folder(), "scratch": Path(tempfile.gettempdir())}
    for name, place in places.items():
        yield _disk(f"disk for {name}", place)


def _disk(check: str, place: Path) -> Finding:
    there = next(path for path in (place, *place.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free / _GB
    reading = f"{free:.1f} GB free in {place}"
    if not os.access(there, os.W_OK):
        return Finding(check, "fail", f"{there} cannot be written", "choose another folder")
    if free < 0.5:
        return Finding(check, "fail", reading, "free some space, or choose another folder")
    state: State = "ok" if free > 5 else "warn"
    return Finding(check, state, reading, "" if state == "ok" else "laptop scale needs 5 GB")


def _memory() -> Finding:
    free, cores = _free_bytes() / _GB, len(available_cores())
    reading = f"{free:.1f} GB free for {cores} cores"
    if free >= cores:
        return Finding("memory", "ok", reading)
    fits = max(1, int(free))
    advice = f"a toy trial takes up to 1 GB; race {fits} at once (--at-once {fits})"
    return Finding("memory", "warn" if free >= 1 else "fail", reading, advice)


def _free_bytes() -> int:
    free = 0
    with contextlib.suppress(OSError):
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = 1024 * int(lines["MemAvailable"].split()[0])
    with contextlib.suppress(OSError, ValueError):
        most = int((_CGROUP / "memory.max").read_text())
        free = min(free, most - int((_CGROUP / "memory.current").read_text()))
    return free


def _shared_memory() -> Finding:
    place = Path("/dev/shm")
    free = shutil.disk_usage(place).free / 1e6 if place.exists() else 0.0
    reading = f"{free:.0f} MB free in {place}"
    if free > 200:
        return Finding("shared memory", "ok", reading)
    advice = "Ray falls back to slower files; in Docker: --shm-size=1g"
    return Finding("shared memory", "warn", reading, advice)


def _sockets() -> Finding:
    place = tempfile.gettempdir()
    if len(place) <= 50:
        return Finding("socket paths", "ok", f"short enough in {place}")
    advice = "Ray cannot start with a path this long; set TMPDIR to a shorter one"
    return Finding("socket paths", "fail", f"{len(place)} characters: {place}", advice)
