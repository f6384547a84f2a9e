"""The stream of training steps, the examples to judge by, and where an archive comes from."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from workloads.climate.archive import Archive, Pair
from workloads.climate.recipe import RECIPES
from workloads.contract import Batch
from workloads.errors import WorkloadError
from workloads.numbered import NumberedStream, Shuffle

if TYPE_CHECKING:
    from workloads.climate.settings import DataSettings

SHORT, LONG = RECIPES["slab-short"], RECIPES["slab-long"]


def fetch(config: DataSettings) -> None:
    """Make sure that the archive is on this machine: generate it, or map its files.

    Raises:
        WorkloadError: it cannot be generated here, or its files are missing.
    """
    if config.source == "ace2-som":
        from workloads.climate import mapped

        mapped.convert()
    else:
        from workloads.climate import generated

        generated.fetch(RECIPES[config.source])


def is_generated(config: DataSettings) -> bool:
    """Whether the archive is one that is made here."""
    return config.source in RECIPES


def at_hand(config: DataSettings) -> bool:
    """Whether the archive, if it is a generated one, has been generated."""
    return not is_generated(config) or RECIPES[config.source].path.exists()


def load(config: DataSettings) -> Archive:
    """The archive of a source, opened once a process and generated when need be.

    Raises:
        WorkloadError: missing, damaged, or not on the grid that the configuration states.
    """
    archive = _load(config.source)
    levels = (len(archive.scales.change) - 1) // 4
    if (archive.grid, levels) != (config.grid, config.levels):
        raise WorkloadError(
            f"{config.source}: has {levels} levels on {archive.grid.nlat} x {archive.grid.nlon}, "
            f"but the workload's config says {config.levels} on {config.nlat} x {config.nlon}"
        )
    return archive


@functools.cache
def _load(source: str) -> Archive:
    if source == "ace2-som":
        from workloads.climate import mapped

        return mapped.read()
    from workloads.climate import generated

    generated.fetch(RECIPES[source])
    return generated.read(RECIPES[source])


def spread(pairs: Sequence[Pair], count: int, what: str = "steps") -> list[Pair]:
    """`count` of the pairs, evenly spread; always the same.

    Raises:
        WorkloadError: there are fewer.
    """
    if len(pairs) < count:
        raise WorkloadError(f"the archive has {len(pairs)} held-out {what}; {count} are needed")
    return [pairs[index * len(pairs) // count] for index in range(count)]


def stretches(pairs: Sequence[Pair], steps: int) -> list[Pair]:
    """The steps with which `steps` of the pairs begin that follow one another, none used twice."""
    known, starts, free = set(pairs), [], {level: 0 for level, _ in pairs}
    for level, index in pairs:
        whole = all((level, index + ahead) in known for ahead in range(steps))
        if whole and index >= free[level]:
            starts.append((level, index))
            free[level] = index + steps
    return starts


def batches(archive: Archive, pairs: Sequence[Pair], size: int) -> Iterator[Batch]:
    """The pairs' examples in batches, the last perhaps a smaller one."""
    for start in range(0, len(pairs), size):
        yield archive.batch(pairs[start : start + size])


def steps(archive: Archive, batch_size: int, seed: int, prefetch: int = 0) -> NumberedStream:
    """Epochs of all training steps, of every CO2 level, shuffled by the seed.

    Batches are `state`, `forcing` and `target`, float32 (B, channels, nlat, nlon).
    """
    shuffle = Shuffle(len(archive.train), batch_size)

    def make(seed: int, number: int) -> Batch:
        return archive.batch([archive.train[index] for index in shuffle(seed, number)])

    return NumberedStream(make, seed, prefetch)
