"""Seals: digests of what this machine made, kept beside it, so that damage is found in time."""

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
    """Note the digest of every file of a folder, within it, unless that was done."""
    path = folder / NAME
    if path.exists():
        return
    digests = {file.name: digest(file) for file in sorted(folder.iterdir()) if file.is_file()}
    with contextlib.suppress(OSError):  # a cache that cannot be written is read all the same
        write_whole(path, json.dumps(digests, indent=1) + "\n")


def damage(folder: Path) -> str:
    """What is not as it was sealed, in a few words; empty where all is, or nothing was sealed."""
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
    """Of a file's bytes; of a large file, of evenly spread parts. Taken once a process."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _digest(path: Path, size: int, _changed: int) -> str:
    content = np.memmap(path, np.uint8, "r") if size else np.empty(0, np.uint8)
    return data_digest([content])
