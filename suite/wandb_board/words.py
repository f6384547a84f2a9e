"""What the command line, the driver and the logging process agree on; imports next to nothing."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from scoring.ground.errors import UserError

PROJECT = "gradathlon"
"""The project, unless the command line or WANDB_PROJECT names another."""
FOLDER = "wandb"
"""What W&B writes lies in this folder of the run's."""
_FORBIDDEN = re.compile(r"[/\\#?%:]")
_LONGEST = 128
"""Characters of W&B's names of projects, runs, groups and artifacts."""
_LONGEST_TAG = 64
_MODES = ("online", "offline", "shared", "disabled", "dryrun", "run")


def _is_time(word: str) -> bool:
    try:
        return 0.0 < float(word) < math.inf
    except ValueError:
        return False


_SECONDS = (_is_time, "a number of seconds")
_WANTED: dict[str, tuple[Callable[[str], bool], str]] = {
    "WANDB_INIT_TIMEOUT": _SECONDS,
    "WANDB_FINISH_TIMEOUT": _SECONDS,
    "WANDB_MODE": (lambda word: word in _MODES, f"one of {', '.join(_MODES)}"),
    "WANDB_BASE_URL": (lambda word: word.startswith(("https://", "http://")), "a URL"),
}
"""Variables that W&B and we read, what they can be, and that in words."""


class WandbError(UserError):
    """What was asked of W&B cannot be: one line that says what and what to do."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where in W&B things go; an entity of None is the default one of whoever holds the key."""

    project: str
    entity: str | None = None

    @classmethod
    def find(
        cls, project: str | None, entity: str | None, environment: Mapping[str, str] = os.environ
    ) -> Place:
        """As given, or else as W&B's own variables say.

        Raises:
            WandbError: W&B takes no project of such a name, or no such variable.
        """
        for name, (fits, wanted) in _WANTED.items():
            if (word := environment.get(name)) and not fits(word):
                raise WandbError(f"{name} is {word[:80]!r}; set it to {wanted}, or unset it")
        project = project or environment.get("WANDB_PROJECT") or PROJECT
        if _FORBIDDEN.search(project) or len(project) > _LONGEST:
            raise WandbError(
                f"--wandb-project {project[:80]!r}: W&B allows up to {_LONGEST} characters, "
                "none of / \\ # ? % :; choose another"
            )
        return cls(project, entity or environment.get("WANDB_ENTITY") or None)


def clipped(name: str) -> str:
    """The name, as long as W&B takes it."""
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def tag(name: str) -> str:
    """The name, as long as a tag may be."""
    return name if len(name) <= _LONGEST_TAG else name[: _LONGEST_TAG - 1] + "…"


def artifact_name(*parts: str) -> str:
    """The parts as a name of an artifact, which has letters, digits, dots and dashes only."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", "-".join(parts))[:_LONGEST]


def sync_line(folder: Path) -> str:
    """The command that sends what was kept in `folder` to W&B."""
    import shlex

    return f"(cd {shlex.quote(str(folder))} && wandb sync --yes)"
