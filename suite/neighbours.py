"""Whether the five packages are ours: their plain names can be taken by a neighbour.

Installing another distribution that has a package `cluster` replaces the file of ours in silence;
a folder of that name that comes first on the path hides ours. Nothing is imported to find out.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

PACKAGES = ("suite", "workloads", "submissions", "scoring", "cluster")
MARK = "Part of Gradathlon."
"""Stands in the docstring of each of our packages."""


def intruder(parent: Path | None = None) -> str | None:
    """A sentence about a package that is not ours or not beside this one; None if all are."""
    home = parent or Path(__file__).resolve().parents[1]
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None:
            return f"package {name!r} of Gradathlon is missing beside {home}; install it again"
        if origin.parents[1] != home or MARK not in _beginning(origin):
            return (
                f"package {name!r} is not Gradathlon's: {origin}; install Gradathlon in an "
                "environment of its own"
            )
    return None


def _beginning(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(2000)
    except OSError:
        return ""
