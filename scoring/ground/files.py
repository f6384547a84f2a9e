"""Reading what a person names, a regular file of a sane size, and writing it whole or not."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from scoring.ground.errors import UserError

LARGEST = 4_000_000
"""Bytes of the largest configuration or submission that is read."""


class FileError(UserError):
    """A file that cannot be read as text."""


def read_text(path: Path, largest: int = LARGEST) -> str:
    """The UTF-8 text of a file, its line ends as they are.

    Raises:
        FileNotFoundError: there is none.
        FileError: a folder, a pipe or a device, too large, not UTF-8, or not to be opened.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            kind = "Is a directory" if stat.S_ISDIR(about.st_mode) else "Not a regular file"
            raise FileError(f"{path}: cannot be read: {kind}")
        if about.st_size > largest:
            raise FileError(
                f"{path}: cannot be read: {about.st_size / 1e6:.0f} MB exceed the "
                f"{largest / 1e6:.0f} MB limit for such a file"
            )
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise FileError(f"{str(path)!r}: cannot be read: a path cannot contain a NUL") from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise FileError(f"{path}:{line}: not UTF-8 text; save the file as UTF-8") from None


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file at one stroke; what is no file, such as a device or a pipe, is written to.

    A file that was there keeps who may read and write it; a new one is as any other that is made.

    Raises:
        OSError: it cannot be written; what was there before stays.
    """
    # What a submission raised, or a record holds, may have halves of characters.
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    target = Path(os.path.realpath(path))  # a link stays one
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    # A reader, or a web server, never meets half a file.
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
        if path.exists():
            part.chmod(stat.S_IMODE(target.stat().st_mode))
        part.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink()
        if isinstance(error, OSError):
            error.filename = str(path)  # which was named, and not the part
        raise


def from_home(text: str) -> str:
    """Paths in a text with the user's home folder as `~`: what others are shown names no one."""
    home = os.path.expanduser("~").rstrip("/")
    if not home:
        return text
    homes = "|".join(map(re.escape, (home, os.path.realpath(home))))
    # Not in the middle of another path; but right behind a compiler's -I.
    return re.sub(rf"(?:(?<![\w.~-])|(?<=\s-\w))(?:{homes})(?![\w-]|\.\w)", "~", text)


def absent(folder: Path) -> list[Path]:
    """The folder and those above it, as far as they are not there: what making it would make.

    Raises:
        OSError: it cannot be looked for.
    """
    return [one for one in (folder, *folder.parents) if not one.exists()]


def take_away(made: Sequence[Path]) -> None:
    """Remove a folder that `absent` told of, and those above it that nobody uses by now."""
    for folder in made[:1]:
        shutil.rmtree(folder, ignore_errors=True)
    for above in made[1:]:
        with contextlib.suppress(OSError):
            above.rmdir()


def refuse_unwritable(folder: Path, size: int = 1) -> None:
    """See that a new file of `size` bytes can be written there; none is left.

    Raises:
        FileError: it cannot.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(size))
    except OSError as error:
        raise FileError(f"{folder}: cannot be written: {why(error)}") from None


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Have what fails herein say which file it was: of writing and closing, Python does not know.

    Raises:
        OSError: as it was raised, with the file's name.
    """
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def why(error: OSError) -> str:
    """The reason in words, of one that several files met, too (`shutil.copytree` has such)."""
    if error.strerror:
        return error.strerror
    told = error.args[0] if error.args else ""
    first = told[0][-1] if isinstance(told, list) and told else told
    return str(first).partition("] ")[2].partition(": ")[0] or str(first) or type(error).__name__
