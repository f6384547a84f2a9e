"""Runs at a URL: read from there, or copied there as trials end. Any place that fsspec knows.

fsspec comes with torch; `s3://bucket/runs/x` wants the package `s3fs`, too, and `gs://` `gcsfs`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from cluster.run_lock import is_driven
from scoring.ground.cache import cache_folder
from scoring.ground.errors import UserError
from scoring.ground.files import write_whole
from scoring.ground.words import TrialKey
from scoring.records import record_attempts
from scoring.run_file import NAME, TEXTS

EVERY_S = 30.0
"""Between two signs of life of a driver."""
SILENT_S = 150.0
"""Who gave none for so long is taken for dead."""
_SIGN = "driver.json"
_FOLDERS = ("trials", TEXTS)
_ENDINGS = (".jsonl", ".log", ".py")
_WEIGHTS = ".hit.safetensors"


class RemoteError(UserError):
    """A run at a URL that cannot be read or written: one line that says what and where."""


def fetched(url: str, *, weights: bool = False, grown_only: bool = False) -> Path:
    """A copy of the run at `url`, as it is now; if asked for, with the weights at its hits.

    What is the same is not written again, so that whoever reads the copy at this moment goes on,
    and the index of its records holds. What else lies there, such as what W&B keeps, stays. With
    `grown_only`, for who looks again and again, a record that is as long as the copy is not read:
    a run only adds to its records.

    Raises:
        RemoteError: it cannot be read, or there is no run.
    """
    folder = cache_folder() / "runs" / _name(url)
    known = _lengths(folder) if grown_only else {}
    texts = _texts(url, weights, known)
    for here in [path for path in folder.rglob("*") if path.is_file()]:
        path = PurePosixPath(here.relative_to(folder))
        if _is_of_a_run(path, weights) and path not in texts and path not in known:
            here.unlink(missing_ok=True)
    for path, text in texts.items():
        here = folder / path
        if not (here.is_file() and here.read_bytes() == text):
            _write(here, text)
    return folder


def scratch(url: str) -> Path:
    """The folder of this machine in which a run at `url` is raced."""
    return cache_folder() / "scratch" / _name(url)


def begin(url: str, resume: bool, dry_run: bool, copy_to: str | None) -> Path:
    """The scratch folder of a run that is to be kept at `url`, new or gone on with.

    Raises:
        RemoteError: there is no run to go on with, or one where none should be; or another process
            races it, or a second place is named to keep it at.
    """
    if copy_to is not None:
        raise RemoteError(f"--copy-to: the run is already kept at {url}; leave it out")
    if resume:
        return fetch_to_go_on(url)
    if not dry_run:
        refuse_used(url)
        if is_driven(scratch(url)):
            raise RemoteError(f"{url}: a run has just started there; choose another place")
        shutil.rmtree(scratch(url), ignore_errors=True)
    return scratch(url)


def fetch_to_go_on(url: str) -> Path:
    """The scratch folder with the run at `url` in it; what this machine had yet to send is kept.

    Raises:
        RemoteError: it cannot be read, there is no run, or another process races it.
    """
    folder, driver = scratch(url), Driver.of(url)
    if driver and driver.lives and (is_driven(folder) or not driver.is_of_this_machine):
        raise RemoteError(
            f"{url}: {driver.name} is already racing this run (last seen "
            f"{driver.silent_s:.0f} s ago); wait until it ends, or until it is silent for "
            f"{SILENT_S:.0f} s"
        )
    texts = _texts(url)
    with contextlib.suppress(OSError):
        if (folder / NAME).read_bytes() != texts.get(PurePosixPath(NAME)):  # it was another run
            shutil.rmtree(folder, ignore_errors=True)
    for path, text in texts.items():
        here = folder / path
        if not (here.exists() and here.read_bytes().startswith(text)):
            _write(here, text)
    return folder


def refuse_used(url: str) -> None:
    """Make sure that `url` can be written and holds no run yet.

    Raises:
        RemoteError: it cannot, or it holds one.
    """
    try:
        system, root = _open(url)
        used = system.exists(f"{root}/{NAME}")
    except Exception as error:
        raise _trouble(url, "read", error) from None
    if used:
        raise RemoteError(
            f"{url}: already holds a run; resume it with: gradathlon run --resume -o {url}, or "
            "choose another place"
        )
    check_writable(url)


def check_writable(url: str) -> None:
    """Write something there, and remove it.

    Raises:
        RemoteError: the place cannot be written.
    """
    try:
        system, root = _open(url)
        system.makedirs(root, exist_ok=True)
        probe = f"{root}/probe-{secrets.token_hex(8)}"
        system.pipe_file(probe, b"can this be written?")
        system.rm_file(probe)
    except Exception as error:
        raise _trouble(url, "written", error) from None


def put(url: str, path: Path, say: Callable[[str], None]) -> str:
    """Copy a file beside the run, for readers; its URL, or "" and a word where it cannot be."""
    try:
        system, root = _open(url)
        system.pipe_file(f"{root}/{path.name}", path.read_bytes())
    except Exception as error:
        say(f"{_trouble(url, 'written', error)}")
        return ""
    return f"{url.rstrip('/')}/{path.name}"


@dataclasses.dataclass(frozen=True)
class Driver:
    """Who races the run at a URL, by its own signs of life.

    Attributes:
        name: its process and machine.
        silent_s: seconds since its last sign, by this machine's time of day.
    """

    name: str
    silent_s: float

    @property
    def lives(self) -> bool:
        """Whether the last sign is recent enough."""
        return self.silent_s < SILENT_S

    @property
    def is_of_this_machine(self) -> bool:
        """Whether its process is, or was, one of this machine's."""
        return self.name.endswith(f" on {platform.node()}")

    @classmethod
    def of(cls, url: str) -> Driver | None:
        """None where none is: the run has ended, was stopped, or was copied there otherwise.

        Raises:
            RemoteError: the place cannot be read.
        """
        try:
            system, root = _open(url)
            said = json.loads(system.cat_file(f"{root}/{_SIGN}"))
            return cls(str(said["driver"]), max(0.0, time.time() - float(said["time"])))
        except (FileNotFoundError, ValueError, LookupError, TypeError):
            return None
        except Exception as error:
            raise _trouble(url, "read", error) from None


class Copy:
    """Keeps a run at a URL while it is driven: the plan at once, a trial's records when it ends.

    With each sign of life, records that have grown are sent, too, and the weights at new hits. A
    place that cannot be reached for a while does not stop a run; at its end all that is missing
    there is sent again.
    """

    def __init__(
        self, run: Path, url: str, say: Callable[[str], None], every_s: float = EVERY_S
    ) -> None:
        self._run = run
        self._url = url
        self._say = say
        self._sent: dict[Path, tuple[int, int]] = {}
        self._told = False
        self._lock = threading.Lock()
        self._closing = threading.Event()
        try:
            self._system, self._root = _open(url)
            self._sign()
            self._send_all()
        except Exception as error:
            raise _trouble(url, "written", error) from None
        self._signs = threading.Thread(target=self._give_signs, args=(every_s,), daemon=True)
        self._signs.start()

    def ended(self, key: TrialKey) -> None:
        """Send a trial's records."""
        try:
            for path in record_attempts(self._run, key):
                self._send(path)
        except Exception as error:
            if not self._told:
                self._say(f"{_trouble(self._url, 'written', error)}; the run continues")
            self._told = True

    def close(self) -> None:
        """Send all that is not there yet, and say that nobody races it any more.

        Raises:
            RemoteError: the place cannot be written.
        """
        self._closing.set()
        self._signs.join()
        try:
            self._send_all()
            self._system.rm_file(f"{self._root}/{_SIGN}")
        except Exception as error:
            raise _trouble(self._url, "written", error) from None

    def _give_signs(self, every_s: float) -> None:
        while not self._closing.wait(every_s):
            with contextlib.suppress(Exception):  # told when a trial ends
                self._sign()
                self._send_all()

    def _sign(self) -> None:
        said = {"driver": f"process {os.getpid()} on {platform.node()}", "time": time.time()}
        self._system.makedirs(self._root, exist_ok=True)
        self._system.pipe_file(f"{self._root}/{_SIGN}", json.dumps(said).encode())

    def _send_all(self) -> None:
        files = [path for path in sorted(self._run.rglob("*")) if path.is_file()]
        for path in files:
            if _is_of_a_run(PurePosixPath(path.relative_to(self._run)), weights=True):
                self._send(path)

    def _send(self, path: Path) -> None:
        with self._lock:
            state = path.stat()
            mark = (state.st_size, state.st_mtime_ns)
            if self._sent.get(path) == mark:
                return
            there = f"{self._root}/{PurePosixPath(path.relative_to(self._run))}"
            self._system.makedirs(there.rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(there, path.read_bytes())
            self._sent[path] = mark


def _name(url: str) -> str:
    last = PurePosixPath(url.rstrip("/")).name
    return f"{last}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def _lengths(folder: Path) -> dict[PurePosixPath, int]:
    """The records in a copy of a run, and how long each is."""
    return {
        PurePosixPath(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*.jsonl")
    }


def _texts(
    url: str, weights: bool = False, known: Mapping[PurePosixPath, int] | None = None
) -> dict[PurePosixPath, bytes]:
    """Every file of the run at `url` that is wanted, by its path there.

    One that is as long as is `known` is left out.

    Raises:
        RemoteError: it cannot be read, or there is no run.
    """
    try:
        system, root = _open(url)
        listed = system.find(root, detail=True)
        sizes = {PurePosixPath(path).relative_to(root): listed[path].get("size") for path in listed}
        own = [path for path in sizes if _is_of_a_run(path, weights)]
        wanted = [path for path in own if (known or {}).get(path) != sizes[path]]
        texts = system.cat([f"{root}/{path}" for path in wanted]) if wanted else {}
        found = {path: texts[f"{root}/{path}"] for path in wanted}
    except Exception as error:  # each kind of place raises errors of its own
        raise _trouble(url, "read", error) from None
    if not own:
        raise RemoteError(f"{url}: no run there: it holds neither {NAME} nor trials")
    return found


def _write(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)


def _open(url: str) -> tuple[Any, str]:
    import fsspec

    system, root = fsspec.core.url_to_fs(url)
    system.invalidate_cache()  # it may remember what was there a while ago
    return system, root.rstrip("/")


def _is_of_a_run(path: PurePosixPath, weights: bool) -> bool:
    """Never a checkpoint, and nothing that leads out of the folder."""
    if ".." in path.parts or path.is_absolute():
        return False
    endings = (*_ENDINGS, _WEIGHTS) if weights else _ENDINGS
    return str(path) == NAME or (path.parts[0] in _FOLDERS and path.name.endswith(endings))


def _trouble(url: str, doing: str, error: Exception) -> RemoteError:
    reason = " ".join(f"{error}".split()) or type(error).__name__
    return RemoteError(f"{url}: cannot be {doing}: {reason[:300]}")
