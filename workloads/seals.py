"""Seals: digests of files this machine generated, stored beside them to detect damage."""

from __future__ import annotations

import contextlib
import functools
import json
from pathlib import Path

import numpy as np

from scoring.ground.files import write_whole
from workloads.digest import data_digest

NAME = "digests.json"


def seal(folder: Path) -> None:
    """Store the digest of every file of a folder in that folder, unless already done."""
    path = folder / NAME
    if path.exists():
        return
    digests = {file.name: digest(file) for file in sorted(folder.iterdir()) if file.is_file()}
    with contextlib.suppress(OSError):  # a cache that cannot be written is read all the same
        write_whole(path, json.dumps(digests, indent=1) + "\n")


def damage(folder: Path) -> str:
    """What has changed since sealing, in a few words; empty if nothing, or if not sealed."""
    path = folder / NAME
    if not path.exists():
        return ""
    try:
        digests = dict(json.loads(path.read_text()))
    except (ValueError, TypeError, OSError):
        return f"{NAME} cannot be read"
    for name, known in digests.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if digest(folder / name) != known:
            return f"{name} has changed since it was made"
    return ""


def digest(path: Path) -> str:
    """Digest of a file's bytes (evenly spread parts if large), computed once per process."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _digest(path: Path, size: int, _changed: int) -> str:
    content = np.memmap(path, np.uint8, "r") if size else np.empty(0, np.uint8)
    return data_digest([content])
