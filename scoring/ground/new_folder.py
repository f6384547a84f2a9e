"""A folder that a command writes: all of it or nothing, and never over another."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scoring.ground.documents import ConfigError
from scoring.ground.files import why


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """The path to write the folder's content to; it becomes `folder` when the block ends.

    Raises:
        ConfigError: `folder` exists, or cannot be written.
    """
    if folder.exists():
        raise ConfigError(f"{folder}: exists; choose another folder, or delete it first")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
            written = Path(scratch) / folder.name
            yield written
            written.rename(folder)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {why(error)}") from None
