"""A large run's records as they were read and checked, so that they are parsed once only.

The index lies in the reader's own cache, not with the run: a run that came from elsewhere brings
none that could lie. A record is taken from it as long as its file has the size and the times that
it had when it was read, and the index as long as the code that reads records is the same. It is a
folder of parts, each written at one stroke: whoever reads a run adds what was not there yet, and
the driver of a run adds a part now and then while it races.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import mmap
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scoring.columns import Evaluations
from scoring.ground.cache import cache_folder
from scoring.ground.words import Budget, Facts, Held, Target
from scoring.lines import EventLine, Header, Outcome
from scoring.records import Record, RecordError, read_placed

FROM = 500
"""From so many records on, a run is worth an index."""
SETTLED_NS = 2_000_000_000
"""A file written a shorter time ago might be written again without a change of its times."""
LARGEST = 2_000_000_000
"""Bytes of all indexes together; the oldest give way."""
PARTS = 64
"""From so many parts on, an index is written anew as one."""
DECIDES = ("columns", "consistency", "details", "index", "lines", "ranges", "records")
"""The modules that decide how a record is read, besides the ground floor."""
_CLOCKS = ("steps", "wall_s", "cpu_s")
_Stamp = tuple[int, int, int]
_Known = dict[str, tuple[_Stamp, Record]]


class Index:
    """Reads the records of one run, each again only where its file is another than it was."""

    def __init__(self, run: Path) -> None:
        self._folder = _folder_of(run)
        self._before: _Known = {}
        self._now: _Known = {}
        self._new: _Known = {}
        self._read = 0
        self._parts = sorted(self._folder.glob("*"))
        self._is_whole = True
        for part in self._parts:
            # Whatever is wrong with it, there are the records themselves.
            try:
                self._before |= dict(_load(part))
            except (OSError, ValueError, LookupError, TypeError, AttributeError):
                self._is_whole = False

    def read(self, path: Path) -> Record:
        """The record that lies at `path` in its run.

        Raises:
            RecordError: as `scoring.records.read_placed`.
        """
        name, stamp = _name(path), _stamp(path)
        self._read += 1
        if (known := self._before.get(name)) and known[0] == stamp:
            self._now[name] = known
            return dataclasses.replace(known[1], path=path)
        record = read_placed(path)
        if lasting := _lasting(path, record, stamp):
            self._now[name] = self._new[name] = lasting
        return record

    def save(self) -> None:
        """Write what was read, where that is worth it; trouble stops no reader."""
        if self._read < FROM or len(self._new) <= len(self._now) // 16:
            return
        anew = not self._is_whole or len(self._parts) >= PARTS
        anew = anew or len(self._before) > 2 * len(self._now)
        with contextlib.suppress(OSError):
            _save(self._folder, self._now if anew else self._new)
            for part in self._parts if anew else ():
                part.unlink()
            _make_room(self._folder)


class Keeper:
    """Keeps the index of a run that is raced, so that whoever reads it first need not parse it."""

    def __init__(self, run: Path) -> None:
        self._folder = _folder_of(run)
        self._waiting: list[Path] = []

    def ended(self, path: Path) -> None:
        """A trial has ended, and `path` is its record."""
        self._waiting.append(path)
        if len(self._waiting) >= FROM:
            self._write()

    def _write(self) -> None:
        """Write a part of those that are certain not to change; the others wait."""
        read: _Known = {}
        waiting = []
        for path in self._waiting:
            stamp = _stamp(path)
            if stamp and not _settled(stamp):
                waiting.append(path)
                continue
            with contextlib.suppress(RecordError):
                record = read_placed(path)
                if lasting := _lasting(path, record, stamp):
                    read[_name(path)] = lasting
        self._waiting = waiting
        with contextlib.suppress(OSError):
            _save(self._folder, read)
            _make_room(self._folder)


def _folder_of(run: Path) -> Path:
    name = hashlib.sha256(str(run.absolute()).encode()).hexdigest()[:24]
    return cache_folder() / "indexes" / name


def _name(path: Path) -> str:
    return "/".join(path.parts[-3:])


def _lasting(path: Path, record: Record, stamp: _Stamp | None) -> tuple[_Stamp, Record] | None:
    """What was just read with the stamp that the file had before, if it will not change unseen."""
    columns = isinstance(record.evaluations, Evaluations)
    if columns and stamp and stamp == _stamp(path) and _settled(stamp):
        return stamp, record
    return None


def _stamp(path: Path) -> _Stamp | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns


def _settled(stamp: _Stamp) -> bool:
    return max(stamp[1:]) < time.time_ns() - SETTLED_NS


@functools.cache
def _code() -> str:
    """The digest of all that decides how a record is read."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in (*(here / f"{name}.py" for name in DECIDES), *sorted(here.glob("ground/*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _save(folder: Path, records: _Known) -> None:
    """Write a part, whole or not at all."""
    rows, parts, at = {}, [], 0
    for name, (stamp, record) in records.items():
        columns = record.evaluations
        assert isinstance(columns, Evaluations)
        rows[name] = {"stamp": stamp, "at": at, "count": len(columns), **_told(record, columns)}
        series = [getattr(columns, clock) for clock in _CLOCKS]
        series += [] if columns.paired is None else [columns.paired]
        parts += [np.asarray(one, dtype=float) for one in (*series, *columns.metrics.values())]
        at += len(columns) * (len(series) + len(columns.metrics))
    text = json.dumps({"code": _code(), "records": rows}).encode()
    text += b" " * (-len(text) % 8)
    folder.mkdir(parents=True, exist_ok=True)
    handle, new = tempfile.mkstemp(dir=folder.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for part in parts:
                file.write(part.tobytes())
        Path(new).replace(folder / f"{time.time_ns():020}")
    except BaseException:
        Path(new).unlink(missing_ok=True)
        raise


def _told(record: Record, columns: Evaluations) -> Facts:
    return {
        "header": dataclasses.asdict(record.header),
        "events": [dataclasses.asdict(event) for event in record.events],
        "outcome": dataclasses.asdict(record.outcome) if record.outcome else None,
        "torn": record.torn,
        "sha256": record.sha256,
        "paired": columns.paired is not None,
        "metrics": list(columns.metrics),
        "present": {
            name: np.packbits(has).tobytes().hex() for name, has in columns.present.items()
        },
    }


def _load(path: Path) -> Iterator[tuple[str, tuple[_Stamp, Record]]]:
    import pydantic_core

    with path.open("rb") as file:
        if os.name == "posix" and os.fstat(file.fileno()).st_uid != os.getuid():
            return  # another user's word
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    begin = 8 + int.from_bytes(data[:8], "little")
    told = pydantic_core.from_json(bytes(data[8:begin]), cache_strings="keys")
    if told["code"] != _code():
        raise ValueError("read by other code")
    numbers = np.frombuffer(data[begin:], dtype=float)
    for name, row in told["records"].items():
        yield name, (tuple(row["stamp"]), _record(path, row, numbers))


def _record(path: Path, row: Facts, numbers: np.ndarray) -> Record:
    names = [*_CLOCKS, *(["paired"] if row["paired"] else [])]
    height = len(names) + len(row["metrics"])
    size = height * row["count"]
    block = numbers[row["at"] : row["at"] + size].reshape(height, row["count"])
    clocks = dict(zip(names, block, strict=False))
    metrics = dict(zip(row["metrics"], block[len(names) :], strict=True))
    steps = clocks.pop("steps").astype(np.int64)
    paired = clocks.pop("paired", None)
    present = {
        name: np.unpackbits(np.frombuffer(bytes.fromhex(bits), np.uint8), count=row["count"]) > 0
        for name, bits in row["present"].items()
    }
    return Record(
        path,
        _header(row["header"]),
        Evaluations(steps, clocks["wall_s"], clocks["cpu_s"], paired, metrics, present),
        tuple(EventLine(**event) for event in row["events"]),
        Outcome(**row["outcome"]) if row["outcome"] else None,
        row["torn"],
        row["sha256"],
    )


def _header(body: Facts) -> Header:
    parts = dict(body)
    if target := parts["target"]:
        aim = dict(target)
        aim["held"] = Held(**aim["held"]) if aim["held"] else None
        parts["target"] = Target(**aim)
    parts["budget"] = Budget(**parts["budget"])
    return Header(**parts)


def _make_room(kept: Path) -> None:
    """Delete the oldest parts of other indexes until the rest, with `kept`, is small enough."""
    files = [path for path in kept.parent.rglob("*") if path.is_file()]
    others = [path for path in files if path.parent != kept]
    total = sum(path.stat().st_size for path in files)
    for path in sorted(others, key=lambda path: path.stat().st_mtime):
        if total <= LARGEST:
            return
        total -= path.stat().st_size
        path.unlink(missing_ok=True)
