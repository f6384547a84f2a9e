"""What a procedure was asked for, kept in its folder so that it goes on as it was begun."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

import yaml

from cluster.run_lock import drive_throughout
from scoring.ground.documents import ConfigError, Model, read_yaml
from scoring.ground.errors import UserError
from scoring.ground.files import absent, from_home, take_away, write_whole
from submissions.source import find
from suite.talk import say


class Begun(Model):
    """All that decides which trials a procedure races.

    Attributes:
        submission: the word that found it.
        sha256: of its text.
    """

    file: ClassVar[str]
    """Its name in the folder."""
    procedure: ClassVar[str]
    """What the procedure is called."""

    format: Literal[1] = 1
    submission: str
    sha256: str

    @property
    def told(self) -> dict[str, object]:
        """As it is written down, with no one's home folder."""
        return self.model_dump(mode="json") | {"submission": from_home(self.submission)}


B = TypeVar("B", bound=Begun)


@contextlib.contextmanager
def kept(begun: Begun, folder: Path) -> Iterator[None]:
    """Write what was asked for into the procedure's folder; the block races it, and no one else.

    Where the block finds that nothing can be raced, the folder is as it was before.

    Raises:
        ConfigError: the folder holds trials already, or cannot be written.
        ClusterError: another process has just begun one there.
    """
    text = yaml.safe_dump(begun.told, sort_keys=False)
    made: list[Path] = []
    with contextlib.ExitStack() as held:
        try:
            made = absent(folder)
            held.enter_context(drive_throughout(folder, say))
            if (folder / "trials").exists() or (folder / begun.file).exists():
                raise ConfigError(
                    f"{folder}: already holds trials; continue them with --resume, or choose "
                    "another folder with -o"
                )
            write_whole(folder / begun.file, text)
        except OSError as error:
            take_away(made)
            raise ConfigError(f"{folder}: cannot be written: {error.strerror or error}") from None
        try:
            yield
        except KeyboardInterrupt:
            say(f"to continue: the same command with --resume -o {folder}")
            raise
        except UserError:
            if not (folder / "trials").exists():
                (folder / begun.file).unlink(missing_ok=True)
                take_away(made)
            raise


def resumed(kind: type[B], word: str, options: Mapping[str, object], folder: Path) -> B:
    """What the procedure in `folder` was begun with.

    Raises:
        ConfigError: there is none, or it is of something else than is asked for now.
    """
    if not (folder / kind.file).exists():
        raise ConfigError(
            f"{folder}: no {kind.procedure} to resume: it has no {kind.file}; give its folder "
            "with -o, or leave --resume out"
        )
    begun = read_yaml(folder / kind.file, kind)
    begun = begun.model_copy(update={"submission": os.path.expanduser(begun.submission)})
    settings = {"submission": word, **{key: v for key, v in options.items() if v is not None}}
    for key, value in settings.items():
        had = getattr(begun, key)
        if value != had:
            raise ConfigError(
                f"{key} {_text(value)}: the {kind.procedure} in {folder} was started with "
                f"{_text(had)} and keeps its settings; leave it out, or start another with -o"
            )
    if find(word).sha256 != begun.sha256:
        raise ConfigError(
            f"{word}: changed since the {kind.procedure} in {folder} began; restore it, "
            "or start another with -o"
        )
    return begun


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
