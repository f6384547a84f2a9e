"""Workloads: the workload contract, data fetching, and one folder per family.

workload = workloads.get("lm-toy-v2+postnorm")

Part of Gradathlon.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workloads.config import Definition
    from workloads.contract import Workload
    from workloads.fetch import Artefact
    from workloads.kinds import Kind
    from workloads.registry import Place

SCALES = ("toy", "laptop", "standard")


def families() -> tuple[str, ...]:
    """The names of all families, built-in and from installed packages."""
    from workloads.registry import places

    return tuple(places())


def family(name: str) -> Definition:
    """A family's definition: scales, variants, titles and targets.

    Raises:
        WorkloadError: no such family; the message names the nearest.
    """
    from workloads.registry import place

    return place(name).definition()


def ids(*, variants: bool = True, scale: str | None = None) -> list[str]:
    """All workload ids, ordered by scale, or those of one scale."""
    every = [id for name in families() for id in family(name).ids()]
    chosen = [id for id in every if variants or "+" not in id]
    scales = {id: id.split("-")[1] for id in chosen}
    kept = [id for id in chosen if scale in (None, scales[id])]
    return sorted(kept, key=lambda id: SCALES.index(scales[id]))


def get(text: str) -> Workload:
    """The workload with that id; its data are fetched only when used.

    Raises:
        WorkloadError: no such workload (the message names the nearest id), or its family's
            folder does not define it.
    """
    from scoring.ground.errors import nearest
    from workloads.config import WorkloadId
    from workloads.errors import WorkloadError
    from workloads.registry import place

    try:
        id = WorkloadId.parse(text)
        where = place(id.family)
    except WorkloadError:
        raise WorkloadError(f"unknown workload {text!r}{nearest(text, ids())}") from None
    defined, kind = where.definition(), _kind(where, id.variant)
    settings = defined.settings(id, kind.settings)
    metric = defined.metric(id, settings)
    return kind.workload(id, settings, metric, defined.races.get(id.race))


def artefacts() -> Iterator[tuple[str, Artefact]]:
    """Each family's name with each artefact that it keeps in the cache."""
    from workloads.registry import place

    for name in families():
        for artefact in place(name).family().artefacts:
            yield name, artefact


def forget() -> None:
    """Reload configurations, after one was rewritten."""
    from workloads.config import read_definition

    read_definition.cache_clear()


def _kind(where: Place, variant: str | None) -> Kind:
    """The family's kind, or that of a variant that is a task of its own."""
    from workloads.errors import WorkloadError

    family = where.family()
    if variant is None or variant not in where.definition().tasks:
        return family
    if variant not in family.tasks:
        raise WorkloadError(
            f"workload family {where.name!r}: {where.folder}: config.yaml makes {variant!r} "
            "a task; add it to `tasks` of its FAMILY"
        )
    return family.tasks[variant]
