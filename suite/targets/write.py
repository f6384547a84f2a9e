"""What set-targets leaves: a target readable at a glance, and the procedure's log beside it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import yaml

import workloads
from scoring.ground.files import write_whole
from workloads.config import Race, WorkloadId
from workloads.errors import WorkloadError

PACKAGE_FOLDERS = ("site-packages", "dist-packages")


@dataclasses.dataclass(frozen=True)
class Result:
    """A target with the log of how it was set, which is kept in `<race>.procedure.json`."""

    published: Race
    procedure: dict[str, object]


def adopted_folder(id: WorkloadId) -> Path:
    """Where the family of a checkout keeps its targets.

    Raises:
        WorkloadError: the family lies in an installed package, which is not written into.
    """
    folder = workloads.family(id.family).path.resolve().parent / "targets"
    if any(part in PACKAGE_FOLDERS for part in folder.parts):
        raise WorkloadError(
            f"--adopt: {folder.parent} is an installed package, not a checkout; write the target "
            "elsewhere with -o DIR, or install the checkout with: pip install -e ."
        )
    return folder


def write_result(folder: Path, id: WorkloadId, result: Result, remark: str = "") -> Path:
    """Put a result into `folder`, each file whole or not at all; the path of the target.

    `remark` is the lines of comments that the target's file begins with.

    Raises:
        WorkloadError: the folder cannot be written.
    """
    body = yaml.safe_dump(
        result.published.model_dump(mode="json", exclude_defaults=True),
        sort_keys=False,
        default_flow_style=None,
        width=100,
    )
    log = json.dumps(result.procedure, indent=1, allow_nan=False) + "\n"
    path = folder / f"{id.race}.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The log first: a target without its procedure must not be seen.
        write_whole(folder / f"{id.race}.procedure.json", log)
        write_whole(path, remark + body)
    except OSError as error:
        raise WorkloadError(f"{path}: cannot be written: {error.strerror}") from None
    workloads.forget()
    return path
