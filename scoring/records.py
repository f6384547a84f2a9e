"""Trial records: what a trial leaves behind, in a public, versioned JSON-lines format.

`RUN/trials/<workload id>/<submission>/study<k>-trial<j>.jsonl` holds one header (kind "trial"),
then evaluations and events in the order they happened, then one outcome. A record is append-only
and has one writer; a trial resumed after a crash writes a file of its own
(`study0-trial0.1.jsonl`), begun with what its checkpoint had seen, so that the file of the highest
attempt is whole and counts alone.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, get_args

from scoring.consistency import Consistency
from scoring.ground.errors import UserError
from scoring.ground.words import Framework, TrialKey
from scoring.lines import Evaluation, EventLine, Header, Line, Outcome, decode, encode

REFERENCE = "reference-"
"""With a framework behind it, the name of that framework's reference: `reference-torch`."""
REFERENCES = tuple(f"{REFERENCE}{framework}" for framework in get_args(Framework))

__all__ = [
    "REFERENCE",
    "REFERENCES",
    "Evaluation",
    "EventLine",
    "Header",
    "Line",
    "Outcome",
    "Record",
    "RecordError",
    "Writer",
    "attempt_of",
    "decode",
    "encode",
    "has_header",
    "is_reference",
    "key_of",
    "read_placed",
    "read_record",
    "read_run",
    "record_attempts",
    "record_files",
    "record_path",
    "run_of",
]
_FILE = re.compile(r"study(?P<study>\d+)-trial(?P<trial>\d+)(?:\.(?P<attempt>\d+))?\.jsonl")


def is_reference(submission: str) -> bool:
    """Whether a submission is the protocol's own reference; no other name is, however it begins."""
    return submission in REFERENCES


class RecordError(UserError):
    """Records that cannot be read or written: one line that says what, where and what to do."""


@dataclasses.dataclass(frozen=True)
class Record:
    """One trial read back. `outcome` is None while it runs, or where its process died.

    `torn` is set when the last line was cut off by a crash and left out.
    """

    path: Path
    header: Header
    evaluations: tuple[Evaluation, ...]
    events: tuple[EventLine, ...]
    outcome: Outcome | None
    torn: bool = False


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
        self._file.write("".join(f"{text}\n" for text in texts))
        self._file.flush()
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
    texts = _texts(path)
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
        raise RecordError(f"{path}:1: has no header line; not a trial record")
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


def _texts(path: Path) -> list[str]:
    try:
        if not path.is_file():
            raise RecordError(f"{path}: not a regular file; move it out of the run's folder")
        return path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise RecordError(f"{path}: cannot be read: {reason}") from None


def record_attempts(run: Path, key: TrialKey) -> list[Path]:
    """The records of a trial's attempts so far, in order; attempt n is at index n."""
    folder = record_path(run, key).parent
    found = {}
    for path in folder.glob(f"study{key.study}-trial{key.trial}.*jsonl"):
        if match := _FILE.fullmatch(path.name):
            found[int(match["attempt"] or 0)] = path
    return [found[attempt] for attempt in sorted(found)]


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
        raise RecordError(f"{path}: is not named as records are, study0-trial0.jsonl")
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


def read_run(run: Path) -> list[Record]:
    """Every trial of a run that has a header.

    Raises:
        RecordError: not a run folder, or a record that cannot be.
    """
    if not (run / "trials").is_dir():
        raise RecordError(f"{run}: not a run: it has no folder `trials`")
    return [read_placed(path) for path in record_files(run)]


def read_placed(path: Path) -> Record:
    """Read a record that lies in its run.

    Raises:
        RecordError: as `read_record`; or its header is of another trial than its place says.
    """
    record, key = read_record(path), key_of(path)
    for name, said, placed in zip(TrialKey._fields, record.header.key, key, strict=True):
        if said != placed:
            raise RecordError(f"{path}:1: {name}: {said!r}, but it lies where {placed!r} belongs")
    return record
