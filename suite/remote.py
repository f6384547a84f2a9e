"""Runs at a URL: read from there, or copied there as trials end. Any place that fsspec knows.

fsspec comes with torch; `s3://bucket/runs/x` wants the package `s3fs`, too, and `gs://` `gcsfs`.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import click

from scoring.ground.errors import UserError
from scoring.ground.words import TrialKey
from scoring.records import record_attempts
from scoring.run_file import NAME
from suite.run_file import TEXTS
from workloads.fetch import cache_folder

_FOLDERS = ("trials", TEXTS)
_ENDINGS = (".jsonl", ".log", ".py")


class RemoteError(UserError):
    """A run at a URL that cannot be read or written: one line that says what and where."""


class RunFolder(click.ParamType[Path]):
    """The folder of a run; or the URL of one, which is copied into the cache folder to be read."""

    name = "run"

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """The folder to read."""
        return fetched(value) if isinstance(value, str) and is_url(value) else Path(value)


def is_url(word: str) -> bool:
    """Whether a word names a place that is not a path of this machine."""
    return "://" in word


def fetched(url: str) -> Path:
    """A copy of the run at `url`, as it is now.

    Raises:
        RemoteError: it cannot be read, or there is no run.
    """
    name = PurePosixPath(url.rstrip("/")).name
    folder = cache_folder() / "runs" / f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        system, root = _open(url)
        paths = [PurePosixPath(path).relative_to(root) for path in system.find(root)]
        wanted = [path for path in paths if _is_of_a_run(path)]
        texts = system.cat([f"{root}/{path}" for path in wanted]) if wanted else {}
        for path in wanted:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(texts[f"{root}/{path}"])
    except Exception as error:  # each kind of place raises errors of its own
        raise _trouble(url, "read", error) from None
    if not wanted:
        raise RemoteError(f"{url}: no run is there: it holds neither {NAME} nor trials")
    return folder


class Copy:
    """Copies a run to a URL: what was planned at once, each trial's records when it ends.

    A place that cannot be reached for a while does not stop a run; at its end all that is missing
    there is sent again.
    """

    def __init__(self, run: Path, url: str, say: Callable[[str], None]) -> None:
        self._run = run
        self._url = url
        self._say = say
        self._sent: dict[Path, tuple[int, int]] = {}
        self._told = False
        try:
            self._system, self._root = _open(url)
            self._send_all()
        except Exception as error:
            raise _trouble(url, "written", error) from None

    def ended(self, key: TrialKey) -> None:
        """Send a trial's records."""
        try:
            for path in record_attempts(self._run, key):
                self._send(path)
        except Exception as error:
            if not self._told:
                self._say(f"{_trouble(self._url, 'written', error)}; the run goes on")
            self._told = True

    def close(self) -> None:
        """Send all that is not there yet.

        Raises:
            RemoteError: the place cannot be written.
        """
        try:
            self._send_all()
        except Exception as error:
            raise _trouble(self._url, "written", error) from None

    def _send_all(self) -> None:
        files = [path for path in sorted(self._run.rglob("*")) if path.is_file()]
        for path in files:
            if _is_of_a_run(PurePosixPath(path.relative_to(self._run))):
                self._send(path)

    def _send(self, path: Path) -> None:
        state = path.stat()
        mark = (state.st_size, state.st_mtime_ns)
        if self._sent.get(path) == mark:
            return
        there = f"{self._root}/{PurePosixPath(path.relative_to(self._run))}"
        self._system.makedirs(there.rpartition("/")[0], exist_ok=True)
        self._system.pipe_file(there, path.read_bytes())
        self._sent[path] = mark


def _open(url: str) -> tuple[Any, str]:
    import fsspec

    system, root = fsspec.core.url_to_fs(url)
    system.invalidate_cache()  # it may remember what was there a while ago
    return system, root.rstrip("/")


def _is_of_a_run(path: PurePosixPath) -> bool:
    """Never a checkpoint, and nothing that leads out of the folder."""
    if ".." in path.parts or path.is_absolute():
        return False
    return str(path) == NAME or (path.parts[0] in _FOLDERS and path.suffix in _ENDINGS)


def _trouble(url: str, doing: str, error: Exception) -> RemoteError:
    reason = " ".join(f"{error}".split()) or type(error).__name__
    return RemoteError(f"{url}: cannot be {doing}: {reason[:300]}")
