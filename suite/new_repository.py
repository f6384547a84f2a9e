"""What `gradathlon new --repository` writes: a submission with its continuous integration."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from pathlib import Path

from scoring.ground.documents import ConfigError
from scoring.ground.new_folder import new_folder
from scoring.ground.words import Framework
from submissions.templates import template

ROOM = Path(__file__).parent
ACTION = ROOM / "action"
FILES = ROOM / "templates" / "repository"


def write_repository(folder: Path, framework: Framework) -> str:
    """Write the files of a submission's repository, whole or not at all; the submission's name.

    Raises:
        ConfigError: the folder exists or cannot be written, or its name is no submission's.
    """
    name = folder.absolute().name.replace("-", "_")
    if not name.isidentifier() or not name.isascii():
        raise ConfigError(
            f"{folder.name!r} is not a submission name: use letters, digits, - and _, "
            "starting with a letter"
        )
    with new_folder(folder) as written:
        _write(written, name, framework)
    return name


def _write(folder: Path, name: str, framework: Framework) -> None:
    shutil.copytree(FILES, folder)
    (folder / "gitignore").rename(folder / ".gitignore")
    for path in (folder / "README.md", folder / ".github" / "workflows" / "gradathlon.yml"):
        path.write_text(path.read_text(encoding="utf-8").replace("NAME", name), encoding="utf-8")
    shutil.copytree(ACTION, folder / ".github" / "actions" / "gradathlon")
    (folder / f"{name}.py").write_text(template(framework), encoding="utf-8")
    (folder / "requirements.txt").write_text(f"{requirement()}\n", encoding="utf-8")


def requirement() -> str:
    """How pip installs this Gradathlon again: from its repository, or by its version."""
    distribution = importlib.metadata.distribution("gradathlon")
    source = json.loads(distribution.read_text("direct_url.json") or "{}")
    if vcs := source.get("vcs_info"):
        return f"gradathlon @ {vcs['vcs']}+{source['url']}@{vcs['commit_id']}"
    return f"gradathlon=={distribution.version}"
