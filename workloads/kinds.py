"""How a family declares itself: the object `FAMILY` in its `workload.py`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workloads.config import Scale
    from workloads.contract import Workload
    from workloads.fetch import Artefact


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of workload.

    Attributes:
        workload: its class.
        settings: the class of one scale's settings.
    """

    workload: type[Workload]
    settings: type[Scale]


@dataclasses.dataclass(frozen=True)
class Family(Kind):
    """A family: the kind of its scales and their overlays, plus its data and tasks.

    Attributes:
        artefacts: the data it keeps in the cache, listed by `gradathlon data list`.
        tasks: the kinds of the variants that are tasks of their own.
    """

    artefacts: tuple[Artefact, ...] = ()
    tasks: Mapping[str, Kind] = dataclasses.field(default_factory=dict)
