"""Where a board comes from: enough to compute it again, and to tell whether it is the same."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scoring.ground.words import Facts

if TYPE_CHECKING:
    from scoring.frame import Gathered

CLASS = ("cpu", "simd", "threads")
"""Of a machine's fingerprint, what decides whether steps repeat exactly."""


@dataclasses.dataclass(frozen=True)
class Provenance:
    """A board's sources.

    Attributes:
        records_sha256: of the records, in a fixed order, each by its own digest.
        runs: the runs' folders, by name.
        machines: the classes of machine that the trials ran on.
        versions: by package, the versions that the trials ran with.
        command: what computes the board again.
    """

    records_sha256: str
    runs: tuple[str, ...]
    machines: tuple[str, ...]
    versions: Mapping[str, tuple[str, ...]]
    command: str


def provenance(gathered: Gathered, options: Facts) -> Provenance:
    """Of the trials that a board is computed from, and what else it was asked for."""
    trials = gathered.trials
    digest = hashlib.sha256()
    for record in gathered.records:
        digest.update(f"{tuple(record.header.key)} {record.sha256}\n".encode())
    runs = sorted(map(Path, trials["run"].unique()))
    versions: dict[str, set[str]] = {}
    for text in trials["versions"].unique():
        for name, version in json.loads(text).items():
            versions.setdefault(name, set()).add(str(version))
    return Provenance(
        records_sha256=digest.hexdigest(),
        runs=tuple(run.absolute().name for run in runs),
        machines=tuple(sorted(set(map(machine_class, trials["hardware"].unique())))),
        versions={name: tuple(sorted(numbers)) for name, numbers in sorted(versions.items())},
        command=_command(map(str, runs), options),
    )


def machine_class(hardware: str) -> str:
    """Model of CPU, its instructions and the threads, as one line; from a fingerprint's JSON."""
    facts = json.loads(hardware)
    parts = [f"{name} {facts[name]}" if name != "cpu" else str(facts[name])
            for name in CLASS if facts.get(name)]  # fmt: skip
    accelerators: Sequence[Facts] = facts.get("accelerators") or ()
    return ", ".join([*parts, *(json.dumps(one) for one in accelerators)])


def _command(runs: Iterable[str], options: Facts) -> str:
    words = ["gradathlon", "score", *runs]
    for name, value in options.items():
        if value is None or value is False or (name, value) == ("protocol", "gradathlon"):
            continue
        words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return shlex.join(words)
