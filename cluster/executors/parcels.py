"""Records on their way home: where a node does not see the run's folder, the driver writes them.

Such a node races in a folder of its own, and hands on what its records grow by along with the news.
What a trial left before, elsewhere, it is handed first; the driver's folder alone decides.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cluster import kept
from cluster.faults import NodeError
from cluster.run_lock import seal
from cluster.spec import ClusterError, Stop, TrialSpec, Update
from cluster.supervision.supervisor import supervise
from cluster.trial import bounds
from scoring.ground.files import write_whole
from scoring.records import Outcome, record_attempts

NODE_RUNS = "GRADATHLON_NODE_RUNS"
"""Names a node's own folder for runs; where it is set, every trial of the node races there."""
_LOG_BYTES = 100_000
_ASK_EVERY_S = 0.9
_CHECKPOINT_EVERY_S = 60.0
"""A checkpoint is sent home this often, so that the trial can go on when its node is gone."""
_CHECKPOINT_BYTES = 200_000_000
"""A larger one stays on its node."""


@dataclasses.dataclass(frozen=True)
class Piece:
    """What a file of a trial holds from `offset` on; from 0 on, it is the whole file."""

    name: str
    offset: int
    data: bytes


@dataclasses.dataclass(frozen=True)
class Errand:
    """What a node is told beside the trial itself.

    Attributes:
        seal: what the run folder's lock says; who reads the same there, sees that folder.
        run: a name for the run that no other has.
        begun: the records of earlier attempts.
        checkpoint: where it goes on, if one came home.
    """

    seal: str
    run: str
    begun: tuple[Piece, ...]
    checkpoint: Piece | None = None


def errand(spec: TrialSpec) -> Errand:
    """Packed by the driver, just before the trial is sent off."""
    place = f"{platform.node()}:{spec.run}"
    name = f"{spec.run.name}-{hashlib.sha256(place.encode()).hexdigest()[:12]}"
    begun = [Piece(path.name, 0, path.read_bytes()) for path in record_attempts(spec.run, spec.key)]
    return Errand(seal(spec.run), name, tuple(begun), _checkpoint(spec))


def race(
    spec: TrialSpec, errand: Errand, posted: Callable[[], Stop | None]
) -> Iterator[Update | Outcome | NodeError | Piece]:
    """Race a trial on a node; pieces come before the news that they belong to.

    `posted` tells when it may stop, by what is known by now.

    Raises:
        OSError: the node has no room for the trial's files.
    """
    if not os.environ.get(NODE_RUNS) and errand.seal and seal(spec.run) == errand.seal:
        yield from supervise(spec)
        return
    here = dataclasses.replace(spec, run=_own_runs() / errand.run)
    _unpack(here, errand)
    sent: dict[str, int] = {piece.name: len(piece.data) for piece in errand.begun}
    since = time.monotonic()
    with _listening(here, posted):
        for news in supervise(here):
            if isinstance(news, Update):
                yield from _grown(here, sent)
                if time.monotonic() - since > _CHECKPOINT_EVERY_S:
                    since = time.monotonic()
                    yield from _its_checkpoint(here)
            else:
                yield from _whole(here)
                yield from _its_checkpoint(here)
            if isinstance(news, Outcome):
                _clear(here)  # the driver may be gone as soon as it has heard of the last end
            yield news


def land(spec: TrialSpec, piece: Piece) -> None:
    """Write a piece that a node sent, into the driver's folder.

    Raises:
        ClusterError: it cannot be written.
    """
    path = spec.record(0).parent / Path(piece.name).name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if piece.offset == 0:
            write_whole(path, piece.data)
        elif path.exists() and path.stat().st_size >= piece.offset:
            with path.open("r+b") as file:
                file.seek(piece.offset)
                file.write(piece.data)
                file.truncate()
    except OSError as error:
        raise ClusterError(
            f"{path}: cannot be written: {error.strerror or error}; free space, then continue: "
            f"gradathlon run --resume -o {spec.run}"
        ) from None


def _own_runs() -> Path:
    folder = os.environ.get(NODE_RUNS)
    return Path(folder or f"{tempfile.gettempdir()}/gradathlon-runs-{os.getuid()}").absolute()


def _unpack(here: TrialSpec, errand: Errand) -> None:
    """Bring the node's folder to what the driver's holds; what another run left there goes."""
    bounds.clear(here)
    for path in record_attempts(here.run, here.key):
        path.unlink()
    if not errand.begun:
        here.checkpoint.unlink(missing_ok=True)
    if errand.checkpoint and not here.checkpoint.exists():
        land(here, errand.checkpoint)
    for piece in errand.begun:
        land(here, piece)


@contextlib.contextmanager
def _listening(here: TrialSpec, posted: Callable[[], Stop | None]) -> Iterator[None]:
    """Bring the trial, in its own folder, each bound that is tighter than the one before."""
    over = threading.Event()

    def listen() -> None:
        stop_before = here.stop
        while not over.wait(_ASK_EVERY_S):
            stop = posted()
            if stop and (stop_before is None or stop.after < stop_before.after):
                stop_before = stop
                bounds.publish(here, stop)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield
    finally:
        over.set()
        listener.join()
        bounds.clear(here)


def _checkpoint(spec: TrialSpec) -> Piece | None:
    path = spec.checkpoint
    with contextlib.suppress(OSError):
        if path.stat().st_size <= _CHECKPOINT_BYTES:
            return Piece(path.name, 0, path.read_bytes())
    return None


def _its_checkpoint(here: TrialSpec) -> Iterator[Piece]:
    piece = _checkpoint(here)
    if piece is not None:
        yield piece


def _grown(here: TrialSpec, sent: dict[str, int]) -> Iterator[Piece]:
    """What the newest record grew by."""
    for path in record_attempts(here.run, here.key)[-1:]:
        since = sent.get(path.name, 0)
        with path.open("rb") as file:
            file.seek(since)
            data = file.read()
        if data:
            sent[path.name] = since + len(data)
            yield Piece(path.name, since, data)


def _whole(here: TrialSpec) -> Iterator[Piece]:
    for path in record_attempts(here.run, here.key)[-1:]:
        yield Piece(path.name, 0, path.read_bytes())
        log = path.with_suffix(".log")
        with contextlib.suppress(FileNotFoundError):
            yield Piece(log.name, 0, log.read_bytes()[-_LOG_BYTES:])
        hit = kept.path_of(path)
        with contextlib.suppress(FileNotFoundError):
            yield Piece(hit.name, 0, hit.read_bytes())


def _clear(here: TrialSpec) -> None:
    """Once all of it is on its way home; a checkpoint stays where the trial left one."""
    for path in record_attempts(here.run, here.key):
        path.unlink()
        path.with_suffix(".log").unlink(missing_ok=True)
        kept.path_of(path).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        for folder in (here.record(0).parent, *here.record(0).parent.parents[:3]):
            folder.rmdir()
