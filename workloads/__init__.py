"""What is raced on: the workload contract, data fetching, and one folder a family.

workload = workloads.get("lm-toy-v1+postnorm")

Part of Gradathlon.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workloads.config import Family
    from workloads.contract import Workload

FAMILIES = ("lm", "recommender", "rl_nap", "lifelong", "homeostatic", "climate")
SCALES = ("toy", "laptop", "standard")


def family(name: str) -> Family:
    """A family's configuration.

    Raises:
        WorkloadError: no such family; the message names the nearest.
    """
    from scoring.ground.errors import nearest
    from workloads.config import read_family
    from workloads.errors import WorkloadError

    if name not in FAMILIES:
        raise WorkloadError(f"unknown workload family {name!r}{nearest(name, FAMILIES)}")
    return read_family(Path(__file__).parent / name)


def ids(*, variants: bool = True) -> list[str]:
    """Every workload id, scale by scale."""
    every = [id for name in FAMILIES for id in family(name).ids()]
    chosen = [id for id in every if variants or "+" not in id]
    return sorted(chosen, key=lambda id: SCALES.index(id.split("-")[1]))


def get(text: str) -> Workload[Any]:
    """The workload of that id; its data are fetched only when used.

    Raises:
        WorkloadError: no such workload; the message names the nearest id.
    """
    from scoring.ground.errors import nearest
    from workloads.config import WorkloadId
    from workloads.errors import WorkloadError

    try:
        id = WorkloadId.parse(text)
        found = family(id.family)
    except WorkloadError:
        raise WorkloadError(f"unknown workload {text!r}{nearest(text, ids())}") from None
    cls, scale = _classes(id.family, id.variant)
    settings = found.settings(id, scale)
    return cls(id, settings, found.metric(id, settings), found.races.get(id.race))


def forget() -> None:
    """Read configurations anew: one was rewritten."""
    from workloads.config import read_family

    read_family.cache_clear()


def _classes(name: str, variant: str | None) -> tuple[type[Workload[Any]], type[Any]]:
    if name == "lm":
        from workloads.lm import LanguageModel, LmScale

        return LanguageModel, LmScale
    if name == "recommender" and variant == "ctr":
        from workloads.recommender.ctr import ClickRate, ClickScale

        return ClickRate, ClickScale
    if name == "recommender":
        from workloads.recommender import Recommender, RecommenderScale

        return Recommender, RecommenderScale
    if name == "rl_nap":
        from workloads.rl_nap import Play, PlayScale

        return Play, PlayScale
    if name == "lifelong":
        from workloads.lifelong import Lifelong, LifelongScale

        return Lifelong, LifelongScale
    if name == "climate":
        from workloads.climate import Climate, ClimateScale

        return Climate, ClimateScale
    from workloads.homeostatic import Homeostatic, HomeostaticScale

    return Homeostatic, HomeostaticScale
