"""The registry of families: the folders beside this file, and those that packages provide.

A package provides one through an entry point in the group `gradathlon.workloads`, whose name is
the family's and whose value looks like `my_package.my_family.workload:FAMILY`. No code of a
family is imported until one of its workloads is requested.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.metadata
import importlib.util
import re
from pathlib import Path

from scoring.ground.errors import nearest
from workloads.config import Definition, read_definition
from workloads.errors import WorkloadError
from workloads.kinds import Family

GROUP = "gradathlon.workloads"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_OURS = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a family is defined: its name, its folder and its `Family` object."""

    name: str
    folder: Path
    module: str
    attribute: str = "FAMILY"

    def definition(self) -> Definition:
        """Its parsed files.

        Raises:
            WorkloadError: it has no `config.yaml`.
            ConfigError: a file is wrong.
        """
        if not (self.folder / "config.yaml").exists():
            raise WorkloadError(
                f"workload family {self.name!r}: {self.folder} has no config.yaml; "
                "see workloads/README.md for what the folder holds"
            )
        return read_definition(self.folder, self.name)

    def family(self) -> Family:
        """Its `Family` object.

        Raises:
            WorkloadError: there is none, or it cannot be imported.
        """
        what = f"workload family {self.name!r}: {self.folder}"
        try:
            family = getattr(importlib.import_module(self.module), self.attribute, None)
        except ImportError as error:
            if error.name != self.module or not isinstance(error, ModuleNotFoundError):
                raise WorkloadError(f"{what}: cannot be imported: {error}") from None
            family = None
        if not isinstance(family, Family):
            last = self.module.rpartition(".")[2]
            raise WorkloadError(f"{what}: its {last}.py must define {self.attribute} = Family(...)")
        return family


@functools.cache
def places() -> dict[str, Place]:
    """All places by family name, built-in families first.

    Raises:
        WorkloadError: an installed family cannot be found, or its name is invalid or taken.
    """
    by_name = {}
    for folder in sorted(_OURS.iterdir()):
        if (folder / "config.yaml").exists() or (folder / "__init__.py").exists():
            by_name[folder.name] = Place(folder.name, folder, f"workloads.{folder.name}.workload")
    for point in sorted(importlib.metadata.entry_points(group=GROUP)):
        origin = f"installed workload family {point.name!r} ({point.value})"
        if not _NAME.fullmatch(point.name):
            raise WorkloadError(
                f"{origin}: a name is made of a-z, 0-9 and _, starting with a letter"
            )
        if point.name in by_name:
            raise WorkloadError(f"{origin}: {by_name[point.name].folder} already has that name")
        by_name[point.name] = Place(point.name, _folder(point, origin), point.module, point.attr)
    return by_name


def place(name: str) -> Place:
    """A family's place.

    Raises:
        WorkloadError: no such family; the message names the nearest.
    """
    folders = places()
    if name not in folders:
        raise WorkloadError(f"unknown workload family {name!r}{nearest(name, folders)}")
    return folders[name]


def _folder(point: importlib.metadata.EntryPoint, origin: str) -> Path:
    # Not `point.load()`: listing workloads must not import what trains them.
    try:
        spec = importlib.util.find_spec(point.module)
    except ImportError as error:
        raise WorkloadError(f"{origin}: cannot be imported: {error}") from None
    if spec is None or spec.origin is None:
        raise WorkloadError(f"{origin}: no such module; reinstall its package")
    return Path(spec.origin).parent
