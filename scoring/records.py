"""Trial records: what a trial leaves behind, in a public, versioned JSON-lines format.

`RUN/trials/<workload id>/<submission>/study<k>-trial<j>.jsonl` holds one header (kind "trial"),
then evaluations and events in the order they happened, then one outcome. A record is append-only
and has one writer; a trial resumed after a crash writes a file of its own
(`study0-trial0.1.jsonl`), begun with what its checkpoint had seen, so that the file of the highest
attempt is whole and counts alone.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, get_args

from scoring.ground.ends import End
from scoring.ground.errors import UserError
from scoring.ground.words import Budget, Clock, Framework, Target, TrialKey

FORMAT = 1
REFERENCE = "reference-"
"""With a framework behind it, the name of that framework's reference: `reference-torch`."""
REFERENCES = tuple(f"{REFERENCE}{framework}" for framework in get_args(Framework))

_FILE = re.compile(r"study(?P<study>\d+)-trial(?P<trial>\d+)(?:\.(?P<attempt>\d+))?\.jsonl")


def is_reference(submission: str) -> bool:
    """Whether a submission is the protocol's own reference; no other name is, however it begins."""
    return submission in REFERENCES


class RecordError(UserError):
    """Records that cannot be read or written: one line that says what, where and what to do."""


@dataclasses.dataclass(frozen=True)
class Header:
    """The first line of a record: all that identifies the trial and its circumstances.

    `target` is None only in runs that set targets.
    """

    workload: str
    submission: str
    framework: Framework
    study: int
    trial: int
    seed: int
    hyperparameters: Mapping[str, Any]
    source_sha256: str
    target: Target | None
    budget: Budget
    clock: Clock
    hardware: Mapping[str, Any]
    versions: Mapping[str, str]
    ruleset: str = "external"
    settings_sha256: str = ""
    """Of the workload's numbers (sizes, data, metric); empty where another tool wrote none."""

    @property
    def key(self) -> TrialKey:
        """Which trial of its run this is."""
        return TrialKey(self.workload, self.submission, self.study, self.trial)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The clock's three readings and the metrics of the weights at that moment."""

    steps: int
    wall_s: float
    cpu_s: float
    metrics: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class EventLine:
    """Something that happened in the workload's stream."""

    steps: int
    wall_s: float
    name: str
    details: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a trial ended, with a sentence for the reason.

    `extra` holds what is known only at the end: step-time statistics (`step_s_median`,
    `step_s_p10`, `step_s_p90`), `evaluation_s` (seconds off the clock), test metrics,
    a failure's traceback.
    """

    end: End
    steps: int
    wall_s: float
    cpu_s: float
    reason: str
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)


Line = Header | Evaluation | EventLine | Outcome
_KINDS: dict[type, str] = {
    Header: "trial",
    Evaluation: "eval",
    EventLine: "event",
    Outcome: "outcome",
}


def encode(line: Line) -> str:
    """One JSON line, without the newline. Infinity and NaN are written as JavaScript has them."""
    body = dataclasses.asdict(line)
    if isinstance(line, EventLine):
        body = body.pop("details") | body  # the line's own fields win
    if isinstance(line, Outcome):
        body = body.pop("extra") | body
    head: dict[str, Any] = {"kind": _KINDS[type(line)]}
    if isinstance(line, Header):
        head["format"] = FORMAT
    return json.dumps(head | body)


def decode(text: str) -> Line:
    """The inverse of `encode`; unknown keys of events and outcomes are kept.

    Raises:
        ValueError: not a line of this format.
    """
    body = json.loads(text)
    if not isinstance(body, dict):
        raise ValueError("not a JSON object")
    kind = body.pop("kind", None)
    if kind == "trial":
        if body.pop("format", None) != FORMAT:
            raise ValueError(f"not record format {FORMAT}")
        target = body.pop("target")
        names = {field.name for field in dataclasses.fields(Header)}
        return Header(
            target=Target(**target) if target else None,
            budget=Budget(**body.pop("budget")),
            **{key: value for key, value in body.items() if key in names},
        )
    if kind == "eval":
        keys = ("steps", "wall_s", "cpu_s", "metrics")
        return Evaluation(**{key: body[key] for key in keys})
    if kind == "event":
        known = {key: body.pop(key) for key in ("steps", "wall_s", "name")}
        return EventLine(**known, details=body)
    if kind == "outcome":
        known = {key: body.pop(key) for key in ("end", "steps", "wall_s", "cpu_s", "reason")}
        return Outcome(**known, extra=body)
    raise ValueError(f"unknown kind {kind!r}")


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
        RecordError: unreadable, no header, or a damaged line that is not the last.
    """
    try:
        texts = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from None
    torn = bool(texts.pop())  # a whole record ends in a newline
    lines: list[Line] = []
    for number, text in enumerate(texts, start=1):
        try:
            lines.append(decode(text))
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(f"{path}:{number}: not a line of a trial record: {error}") from None
    if not lines or not isinstance(lines[0], Header):
        raise RecordError(f"{path}: has no header line; not a trial record")
    outcomes = [line for line in lines if isinstance(line, Outcome)]
    return Record(
        path=path,
        header=lines[0],
        evaluations=tuple(line for line in lines if isinstance(line, Evaluation)),
        events=tuple(line for line in lines if isinstance(line, EventLine)),
        outcome=outcomes[-1] if outcomes else None,
        torn=torn,
    )


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
    """
    newest: dict[TrialKey, tuple[int, Path]] = {}
    for path in (run / "trials").glob("*/*/*.jsonl"):
        if (match := _FILE.fullmatch(path.name)) and has_header(path):
            key = TrialKey(path.parts[-3], path.parts[-2], int(match["study"]), int(match["trial"]))
            attempt = int(match["attempt"] or 0)
            newest[key] = max(newest.get(key, (-1, path)), (attempt, path))
    for key in sorted(newest):
        yield newest[key][1]


def has_header(path: Path) -> bool:
    """Whether at least the record's first line is whole."""
    with path.open("rb") as file:
        return file.readline().endswith(b"\n")


def read_run(run: Path) -> list[Record]:
    """Every trial of a run that has a header.

    Raises:
        RecordError: not a run folder, or a damaged record.
    """
    if not (run / "trials").is_dir():
        raise RecordError(f"{run}: not a run: it has no folder `trials`")
    return [read_record(path) for path in record_files(run)]
