"""A large run's records as they were read and checked, so that they are parsed once only.

The index lies in the reader's own cache, not with the run: a run that came from elsewhere brings
none that could lie. A record is taken from it as long as its file has the size and the times that
it had when it was read, and the index as long as the code that reads records is the same.
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
from scoring.records import Record, read_placed

FROM = 500
"""From so many records on, a run is worth an index."""
SETTLED_NS = 2_000_000_000
"""A file written a shorter time ago might be written again without a change of its times."""
LARGEST = 2_000_000_000
"""Bytes of all indexes together; the oldest give way."""
_CLOCKS = ("steps", "wall_s", "cpu_s")
_Stamp = tuple[int, int, int]
_Known = dict[str, tuple[_Stamp, Record]]


class Index:
    """Reads the records of one run, each again only where its file is another than it was."""

    def __init__(self, run: Path) -> None:
        name = hashlib.sha256(str(run.absolute()).encode()).hexdigest()[:24]
        self._path = cache_folder() / "records" / name
        self._before: _Known = {}
        self._now: _Known = {}
        self._read = self._parsed = 0
        # Whatever is wrong with it, there are the records themselves.
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            self._before = dict(_load(self._path))

    def read(self, path: Path) -> Record:
        """The record that lies at `path` in its run.

        Raises:
            RecordError: as `scoring.records.read_placed`.
        """
        name, stamp = "/".join(path.parts[-3:]), _stamp(path)
        self._read += 1
        if (known := self._before.get(name)) and known[0] == stamp:
            self._now[name] = known
            return dataclasses.replace(known[1], path=path)
        record = read_placed(path)
        columns = isinstance(record.evaluations, Evaluations)
        if columns and stamp and stamp == _stamp(path) and _settled(stamp):
            self._now[name] = stamp, record
            self._parsed += 1
        return record

    def save(self) -> None:
        """Write what was read, where that is worth it; trouble stops no reader."""
        if self._read < FROM or self._parsed <= len(self._now) // 16:
            return
        with contextlib.suppress(OSError):
            _save(self._path, self._now)
            _make_room(self._path)


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
    names = ("columns.py", "consistency.py", "details.py", "index.py", "lines.py", "records.py")
    digest = hashlib.sha256()
    for path in (*(here / name for name in names), *sorted((here / "ground").glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _save(path: Path, records: _Known) -> None:
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
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, new = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for part in parts:
                file.write(part.tobytes())
        Path(new).replace(path)
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
        return
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
    return Record(
        path,
        _header(row["header"]),
        Evaluations(steps, clocks["wall_s"], clocks["cpu_s"], paired, metrics),
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
    """Delete the oldest indexes until the rest, `kept` among them, is small enough."""
    others = [path for path in kept.parent.iterdir() if path != kept]
    by_age = sorted(others, key=lambda path: path.stat().st_mtime)
    total = sum(path.stat().st_size for path in (kept, *others))
    for path in by_age:
        if total <= LARGEST:
            return
        total -= path.stat().st_size
        path.unlink(missing_ok=True)
