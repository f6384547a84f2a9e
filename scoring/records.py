"""Trial records: what a trial leaves behind, in a public, versioned JSON-lines format.

`RUN/trials/<workload id>/<submission>/study<k>-trial<j>.jsonl` holds one header (kind "trial"),
then evaluations and events in the order they happened, then one outcome. A record is append-only
and has one writer; a trial resumed after a crash writes a file of its own
(`study0-trial0.1.jsonl`), begun with what its checkpoint had seen, so that the file of the highest
attempt is whole and counts alone.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from scoring.columns import BEGINNING, parse
from scoring.consistency import Consistency, stands_between
from scoring.ground.errors import UserError, nearest
from scoring.ground.words import TrialKey
from scoring.lines import Evaluation, EventLine, Header, Line, Outcome, decode, encode

__all__ = [
    "Evaluation",
    "EventLine",
    "Header",
    "Line",
    "Outcome",
    "Record",
    "RecordError",
    "Writer",
    "attempt_of",
    "check_is_run",
    "decode",
    "encode",
    "has_header",
    "key_of",
    "read_placed",
    "read_record",
    "read_run",
    "record_attempts",
    "record_files",
    "record_path",
    "run_of",
]
MANY = 8
"""From so many evaluations on, a record is read in columns."""
_MANY_RUNS = 20
"""More beside a mistyped one are not listed."""
_FILE = re.compile(r"study(?P<study>\d+)-trial(?P<trial>\d+)(?:\.(?P<attempt>\d+))?\.jsonl")


class RecordError(UserError):
    """Records that cannot be read or written: one line that says what, where and what to do."""


@dataclasses.dataclass(frozen=True)
class Record:
    """One trial read back. `outcome` is None while it runs, or where its process died.

    `torn` is set when the last line was cut off by a crash and left out.
    """

    path: Path
    header: Header
    evaluations: Sequence[Evaluation]
    events: tuple[EventLine, ...]
    outcome: Outcome | None
    torn: bool = False
    sha256: str = ""
    """Of the file."""


class Writer:
    """Appends lines to a record that must not exist yet.

    A line written is safe from the death of this process at once, and from the machine's when
    the record is closed.
    """

    def __init__(self, path: Path, seen: tuple[str, ...] = ()) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.lines: list[str] = []
        self._file: IO[str] = path.open("x", encoding="utf-8")
        self._append(seen)

    def write(self, *lines: Line) -> None:
        """Append lines, together."""
        self._append([encode(line) for line in lines])

    def close(self) -> None:
        """Bring everything to the disk and close the file."""
        os.fsync(self._file.fileno())
        self._file.close()

    def _append(self, texts: Sequence[str]) -> None:
        try:
            self._file.write("".join(f"{text}\n" for text in texts))
            self._file.flush()
        except OSError as error:
            error.filename = str(self.path)  # which Python does not know by now
            raise
        self.lines.extend(texts)


def record_path(run: Path, key: TrialKey, attempt: int = 0) -> Path:
    """Where the record of a trial's attempt lies within a run."""
    suffix = f".{attempt}" if attempt else ""
    name = f"study{key.study}-trial{key.trial}{suffix}.jsonl"
    return run / "trials" / key.workload / key.submission / name


def run_of(path: Path) -> Path:
    """The run folder of a record that lies where `record_path` puts it."""
    return path.absolute().parents[3]


def read_record(path: Path) -> Record:
    """Read one record; a torn last line is left out and told.

    Raises:
        RecordError: unreadable, no header, or a line that cannot be, named by its number.
    """
    data = _content(path)
    record = _read_in_columns(path, data) or _read_by_line(path, data)
    return dataclasses.replace(record, sha256=hashlib.sha256(data).hexdigest())


def _read_in_columns(path: Path, data: bytes) -> Record | None:
    """A record whose evaluations can be read at once, None if anything about it is not plain."""
    texts = data.split(b"\n")
    torn = bool(texts.pop())
    own = [text for text in texts if text.startswith(BEGINNING)]
    rest = [place for place, text in enumerate(texts) if not text.startswith(BEGINNING)]
    if len(own) < MANY:
        return None
    try:
        others = [decode(texts[place].decode()) for place in rest]
        evaluations = parse(own)
        consistency = Consistency()
        consistency.take(others[0])
        if evaluations is None or not consistency.take_columns(evaluations):
            return None
        last = others[-1] if not texts[-1].startswith(BEGINNING) else None
        for line in others[1:]:
            consistency.take(line)
    except ValueError:
        return None
    events = tuple(line for line in others if isinstance(line, EventLine))
    befores = [place - number for number, place in enumerate(rest)]
    if not all(map(functools.partial(stands_between, evaluations), others, befores)):
        return None
    outcome = last if isinstance(last, Outcome) else None
    if len(others) != 1 + len(events) + (outcome is not None):
        return None  # an evaluation after the outcome, or one that is written in other words
    header = others[0]
    assert isinstance(header, Header)
    return Record(path, header, evaluations, events, outcome, torn)


def _read_by_line(path: Path, data: bytes) -> Record:
    """A record read line by line, so that what is wrong is named."""
    try:
        texts = data.decode().replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        raise RecordError(f"{path}: cannot be read: not UTF-8 text") from None
    torn = bool(texts.pop())  # a whole record ends in a newline
    lines: list[Line] = []
    consistency = Consistency()
    for number, text in enumerate(texts, start=1):
        try:
            lines.append(decode(text))
            consistency.take(lines[-1])
        except ValueError as error:
            raise RecordError(f"{path}:{number}: {error}") from None
    if not lines:
        raise RecordError(f"{path}:1: no header line; not a trial record")
    header, last = lines[0], lines[-1]
    assert isinstance(header, Header)
    return Record(
        path=path,
        header=header,
        evaluations=tuple(line for line in lines if isinstance(line, Evaluation)),
        events=tuple(line for line in lines if isinstance(line, EventLine)),
        outcome=last if isinstance(last, Outcome) else None,
        torn=torn,
    )


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise RecordError(f"{path}: not a regular file; move it out of the run's folder")
        return path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from None


def record_attempts(run: Path, key: TrialKey) -> list[Path]:
    """The records of a trial's attempts so far, in order; attempt n is at index n."""
    folder = record_path(run, key).parent
    attempts = {}
    for path in folder.glob(f"study{key.study}-trial{key.trial}.*jsonl"):
        if match := _FILE.fullmatch(path.name):
            attempts[int(match["attempt"] or 0)] = path
    return [attempts[attempt] for attempt in sorted(attempts)]


def record_files(run: Path) -> Iterator[Path]:
    """The record of the highest attempt of every trial of a run, in a fixed order.

    An attempt whose process died within its first line has no header yet and does not count.
    What is named like a record but is no regular file is among them only for want of another
    attempt, so that it is told.
    """
    newest: dict[TrialKey, tuple[int, Path]] = {}
    for path in (run / "trials").glob("*/*/*.jsonl"):
        if (match := _FILE.fullmatch(path.name)) is None:
            continue
        attempt = int(match["attempt"] or 0) if path.is_file() else -1
        if attempt < 0 or has_header(path):
            key = TrialKey(path.parts[-3], path.parts[-2], int(match["study"]), int(match["trial"]))
            newest[key] = max(newest.get(key, (-2, path)), (attempt, path))
    for key in sorted(newest):
        yield newest[key][1]


def key_of(path: Path) -> TrialKey:
    """The trial that a record's place in its run says it is of.

    Raises:
        RecordError: no record lies at such a place.
    """
    match = _FILE.fullmatch(path.name)
    if match is None:
        raise RecordError(f"{path}: unexpected name; records are named like study0-trial0.jsonl")
    workload, submission = path.absolute().parts[-3:-1]
    return TrialKey(workload, submission, int(match["study"]), int(match["trial"]))


def attempt_of(path: Path) -> int:
    """Which attempt a record is of, 0 for the first and for files named otherwise."""
    match = _FILE.fullmatch(path.name)
    return int(match["attempt"] or 0) if match else 0


def has_header(path: Path) -> bool:
    """Whether at least the record's first line is whole."""
    try:
        with path.open("rb") as file:
            return file.readline().endswith(b"\n")
    except OSError:
        return True  # whoever reads it is told why it cannot be read


def check_is_run(run: Path) -> None:
    """See that a folder may hold records.

    Raises:
        RecordError: it is none, or does not; with the nearest name of a run beside it.
    """
    if (run / "trials").is_dir():
        return
    if run.exists():
        raise RecordError(f"{run}: not a run: it has no folder `trials`")
    beside = [path.parent.name for path in run.parent.glob("*/trials")]
    near = nearest(run.name, beside) if len(beside) <= _MANY_RUNS else ""
    raise RecordError(f"{run}: not a run: no such folder{near}")


def read_run(run: Path) -> list[Record]:
    """Every trial of a run that has a header.

    Raises:
        RecordError: not a run folder, or a record that cannot be.
    """
    check_is_run(run)
    return [read_placed(path) for path in record_files(run)]


def read_placed(path: Path) -> Record:
    """Read a record that lies in its run.

    Raises:
        RecordError: as `read_record`; or its header is of another trial than its place says.
    """
    record, key = read_record(path), key_of(path)
    for name, claimed, placed in zip(TrialKey._fields, record.header.key, key, strict=True):
        if claimed != placed:
            raise RecordError(f"{path}:1: {name}: {claimed!r}, but its path says {placed!r}")
    return record
