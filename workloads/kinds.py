"""What a family's folder says of itself: the object `FAMILY` of its `workload.py`."""

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
        settings: the class of one scale's numbers.
    """

    workload: type[Workload]
    settings: type[Scale]


@dataclasses.dataclass(frozen=True)
class Family(Kind):
    """A family: the kind of its scales and of their overlays, and what it has beside.

    Attributes:
        artefacts: the data that it keeps in the cache, for `gradathlon data list`.
        tasks: the kinds of those variants that are tasks of their own.
    """

    artefacts: tuple[Artefact, ...] = ()
    tasks: Mapping[str, Kind] = dataclasses.field(default_factory=dict)
