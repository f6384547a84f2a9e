"""The hardware fingerprint of a record: what must match for two clocks to be comparable."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from scoring.ground.words import Resources

COMMIT = "GRADATHLON_COMMIT"
"""Tells workers, which run a copy of the code, the commit that it is a copy of."""
_SIMD = ("amx_tile", "avx512f", "avx2", "asimd")


def fingerprint(resources: Resources) -> dict[str, object]:
    """Device model and count, cores, threads, driver, and the versions that make the arithmetic.

    `digest` is a short hash of all the rest: equal digests may share a leaderboard on a wall
    clock. The machine's name is left out, so that equal nodes of a cluster count as one.
    """
    facts: dict[str, object] = {
        "cpu": _cpu_model(),
        "simd": _simd(),
        "cores": resources.all_cores,
        "threads": resources.cores,
        "accelerators": accelerators()[: resources.all_gpus],
        "system": f"{platform.system()} {platform.machine()}",
        "python": ".".join(platform.python_version_tuple()[:2]),
        **{name: _version(name) for name in ("torch", "jax", "jaxlib", "numpy")},
    }
    if resources.ranks > 1:  # not told of one, so that earlier records keep their digest
        facts["ranks"] = resources.ranks
    text = json.dumps(facts, sort_keys=True)
    return facts | {"digest": hashlib.sha256(text.encode()).hexdigest()[:12]}


@functools.cache
def versions() -> dict[str, str]:
    """Versions of the suite and of every package that can change a trial, and the git commit."""
    names = ("gradathlon", "torch", "jax", "jaxlib", "optax", "ray", "numpy", "schedulefree")
    packages = {name: _version(name) for name in (*names, "prodigyopt")}
    packages["python"] = platform.python_version()
    commit = os.environ.get(COMMIT) or _git_commit(Path(__file__).parent.parent)
    return packages | ({"commit": commit} if commit else {})


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cpu_model() -> str:
    for line in _cpuinfo():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _simd() -> str:
    # Widths differ in the order of sums: bit-equality and exact steps hold within one class.
    flags = next((set(line.split()) for line in _cpuinfo() if line[:5] in ("flags", "Featu")), ())
    return next((name for name in _SIMD if name in flags), "none")


@functools.cache
def instructions() -> str:
    """A short hash of what this CPU can be told to do: compiled code runs where it is equal."""
    flags = next((line for line in _cpuinfo() if line[:5] in ("flags", "Featu")), "")
    facts = [platform.machine(), _cpu_model(), *sorted(flags.split())]
    return hashlib.sha256(" ".join(facts).encode()).hexdigest()[:12]


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


@functools.cache
def accelerators() -> list[dict[str, str]]:
    """The devices that this process is shown, in CUDA's order, by name, memory and driver."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = "--query-gpu=index,uuid,name,memory.total,driver_version"
    rows = [line.split(", ") for line in _asked_of_smi(query, "--format=csv,noheader")]
    devices = {
        (index, uuid): dict(zip(("name", "memory", "driver"), facts, strict=True))
        for index, uuid, *facts in (row for row in rows if len(row) == 5)
    }
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is None:
        return list(devices.values())
    # CUDA shows a process these; Ray and schedulers hide those of others.
    words = [word for word in shown.split(",") if word]
    if any(word.startswith("MIG-") for word in words):
        by_uuid = {uuid: device for (_, uuid), device in devices.items()}
        for of, kind, uuid in _slices():
            if whole := by_uuid.get(of):
                name, memory = f"{whole['name']} MIG {kind}", kind.split(".")[-1]
                devices["", uuid] = whole | {"name": name, "memory": memory}
    return [
        device
        for word in words
        for (index, uuid), device in devices.items()
        if word == index or uuid.startswith(word)
    ]


_DEVICE = re.compile(r"GPU \d+: .*\(UUID: (\S+)\)")
_SLICE = re.compile(r"\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (\S+)\)")


def _slices() -> Iterator[tuple[str, str, str]]:
    """Of each MIG slice the device's UUID, its profile, as 1g.10gb, and its own UUID."""
    device = ""
    for line in _asked_of_smi("-L"):
        if found := _DEVICE.match(line):
            device = found[1]
        elif found := _SLICE.match(line):
            yield device, found[1], found[2]


def _asked_of_smi(*words: str) -> list[str]:
    """The lines that it answers; none where it fails."""
    done = subprocess.run(["nvidia-smi", *words], capture_output=True, text=True)
    return [] if done.returncode else done.stdout.splitlines()


@functools.cache
def _git_commit(folder: Path) -> str | None:
    if not (folder / ".git").exists() or shutil.which("git") is None:
        return None
    done = subprocess.run(
        ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() or None
