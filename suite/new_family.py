"""What `gradathlon new --workload` writes: a package with a family that runs as it stands."""

from __future__ import annotations

import importlib.util
import keyword
import re
import shutil
from pathlib import Path

import workloads
from scoring.ground.documents import ConfigError
from scoring.ground.new_folder import new_folder

TEMPLATES = Path(__file__).parent / "templates"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def write_family(folder: Path) -> Path:
    """Write the package of a family that is named like `folder`, whole or not at all.

    Raises:
        ConfigError: the folder exists or cannot be written, or its name is no family's.
    """
    name = folder.name
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ConfigError(
            f"{name!r} is not a family name: use a-z, 0-9 and _, starting with a letter"
        )
    if name in workloads.families():
        raise ConfigError(f"workload family {name!r} exists already; choose another name")
    if importlib.util.find_spec(name) is not None:
        raise ConfigError(f"{name!r} is an installed Python package; choose another name")
    with new_folder(folder) as written:
        shutil.copytree(
            TEMPLATES / "family", written / name, ignore=shutil.ignore_patterns("__pycache__")
        )
        for file in ("pyproject.toml", "README.md"):
            text = (TEMPLATES / f"family.{file}").read_text(encoding="utf-8")
            (written / file).write_text(text.replace("NAME", name), encoding="utf-8")
    return folder
