"""Hardware pools: the trials of a run race on one class of hardware, chosen before the first.

Seconds of different hardware cannot be compared, so a mixed cluster lends a run the nodes of one
class: that of the run's first records, or else the one with most cores.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from cluster.spec import ClusterError
from scoring.ground.words import Resources
from scoring.records import RecordError, has_header, read_record, record_files


@dataclasses.dataclass(frozen=True)
class Place:
    """A node, and the fingerprint of what it would lend a trial; or why nobody knows."""

    id: str
    name: str
    cores: int
    gpus: int
    hardware: Mapping[str, object] | None
    trouble: str = ""


class Pool:
    """The nodes of one class, and how many trials each was given."""

    def __init__(self, places: Sequence[Place], mixed: bool) -> None:
        self.places = {place.id: place for place in places}
        self.mixed = mixed
        """Whether the cluster has other nodes, too: then each trial is sent to a named one."""
        self._given: collections.Counter[str] = collections.Counter()

    def remove(self, node: str) -> None:
        """A node that cannot race after all."""
        del self.places[node]
        self.mixed = True

    def lend(self, resources: Resources, alive: Iterable[str]) -> str:
        """The node that a trial goes to: the one least taken.

        Raises:
            ClusterError: none that it fits on is left.
        """
        there = set(alive)
        fits = [
            place for place in self.places.values() if place.id in there and _fits(place, resources)
        ]
        if not fits:
            raise ClusterError(
                "no node with this run's hardware is left in the cluster; finished trials are "
                "kept: add such a node, then continue with --resume"
            )
        chosen = min(fits, key=lambda place: self._given[place.id] / place.cores)
        self._given[chosen.id] += resources.all_cores
        return chosen.id

    def give_back(self, node: str, resources: Resources) -> None:
        """A trial has left the node."""
        self._given[node] -= resources.all_cores


def choose(places: Sequence[Place], resources: Resources, run: Path) -> tuple[Pool, list[str]]:
    """The pool that a run races on, and what its user should know of the choice.

    Raises:
        ClusterError: no node is of the hardware that the run began on.
    """
    fits = [place for place in places if _fits(place, resources)]
    classes: dict[str, list[Place]] = {}
    for place in fits:
        if place.hardware is not None:
            classes.setdefault(str(place.hardware["digest"]), []).append(place)
    lines = [f"{place.name} is skipped: {place.trouble}" for place in fits if place.trouble]
    if not classes:
        return Pool(fits, mixed=False), lines
    begun = _begun_on(run)
    if begun is not None and begun not in classes:
        raise ClusterError(
            f"{run} started on hardware {begun}, but the cluster has only "
            f"{', '.join(sorted(classes))}; join another cluster, or start a new run"
        )
    chosen = begun or max(classes, key=lambda digest: sum(one.cores for one in classes[digest]))
    others = [digest for digest in classes if digest != chosen]
    if others:
        lines.append(f"races on {_words(classes[chosen])}")
        differ = [_differences(classes[chosen][0], classes[digest][0]) for digest in others]
        for digest, what in zip(others, differ, strict=True):
            lines.append(f"other hardware, skipped: {_words(classes[digest])} ({what})")
    return Pool(classes[chosen], mixed=bool(others or lines)), lines


def _fits(place: Place, resources: Resources) -> bool:
    return fitting(place, resources) > 0


class Lends(Protocol):
    """What lends trials its cores and accelerators."""

    @property
    def cores(self) -> int:
        """How many cores."""

    @property
    def gpus(self) -> int:
        """How many accelerators."""


def fitting(node: Lends, resources: Resources) -> int:
    """How many trials race on the node at a time."""
    by_cores = node.cores // resources.all_cores
    return min(by_cores, node.gpus // resources.all_gpus) if resources.gpus else by_cores


def side_by_side(nodes: Collection[Lends], wanted: Collection[Resources]) -> int:
    """How many trials race at a time, one at least, whatever each of them wants."""
    return max(1, min(sum(fitting(node, held) for node in nodes) for held in wanted))


def _words(places: Sequence[Place]) -> str:
    names = ", ".join(place.name for place in places[:4]) + (", ..." if len(places) > 4 else "")
    cores = sum(place.cores for place in places)
    hardware = places[0].hardware or {}
    nodes = f"{len(places)} node{'s' * (len(places) > 1)}"
    return f"{nodes} with {cores} cores of hardware {hardware.get('digest')}: {names}"


def _differences(ours: Place, theirs: Place) -> str:
    one, two = ours.hardware or {}, theirs.hardware or {}
    names = [name for name in one if name != "digest" and one[name] != two.get(name)]
    return "; ".join(f"{name}: {two.get(name)} instead of {one[name]}" for name in names)


def _begun_on(run: Path) -> str | None:
    """The hardware of a record of this run, if it has any."""
    for path in itertools.islice(record_files(run), 100):
        if has_header(path):
            try:
                hardware = read_record(path).header.hardware
            except RecordError:
                continue
            if hardware.get(
                "pinned"
            ):  # else it was written by the driver, of a trial that never ran
                return str(hardware.get("digest"))
    return None
