"""What submissions import, and whether each node has it: checked before a run starts.

A submission's own text travels with its trial; the packages that it imports do not. Another version
of a method is another method, so a node must have the one that the driver has.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import sys
from collections.abc import Iterable, Mapping

from cluster.checks.review import imported, is_installed
from submissions.bundle import split
from submissions.source import Source

_OURS = frozenset(("suite", "cluster", "scoring", "workloads", "submissions"))
_IN_FINGERPRINT = frozenset(("torch", "jax", "jaxlib", "numpy"))
"""Nodes of other versions of these are other hardware, and those that race agree anyway."""
Versions = Mapping[str, str]
"""Version by distribution."""


def needs(sources: Iterable[Source]) -> dict[str, dict[str, str]]:
    """Each module that these files import at once, and the versions of its distributions here.

    Imports within functions, `try` and `if` may have another way; AlgoPerf's files meet a stand-in.
    """
    passed_over = _OURS | _IN_FINGERPRINT | sys.stdlib_module_names
    requirements: dict[str, dict[str, str]] = {}
    for source in sources:
        if source.api == "algoperf":
            continue
        text, own = split(source.text)
        for node in ast.parse(text).body:
            for name in imported(node):
                top = name.split(".")[0]
                if top not in passed_over and not _is_in(top, own):
                    requirements[top] = versions(top)
    return requirements


def lacking(requirements: Mapping[str, Versions]) -> list[str]:
    """What this machine lacks of it, one phrase each."""
    lines = []
    for module, wanted in requirements.items():
        if not is_installed(module):
            lines.append(f"{module} is not installed ({_words(wanted) or 'on no machine yet'})")
            continue
        here = versions(module)
        lines += [
            f"{name} is {here.get(name, 'not installed')}, not {version}"
            for name, version in wanted.items()
            if here.get(name) != version
        ]
    return lines


def versions(module: str) -> dict[str, str]:
    """The distributions that bring a module, and their versions."""
    return {name: importlib.metadata.version(name) for name in _distributions().get(module, ())}


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    distributions = importlib.metadata.packages_distributions()
    return {module: sorted(set(names)) for module, names in distributions.items()}


def _is_in(top: str, own: Iterable[str]) -> bool:
    """Whether it is a file of the submission's own folder."""
    return any(name.split("/")[0].removesuffix(".py") == top for name in own)


def _words(wanted: Versions) -> str:
    return ", ".join(f"{name} {version}" for name, version in wanted.items())
