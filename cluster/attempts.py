"""A trial's attempts: what they left, which one counts, and where the next one resumes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import workloads
from cluster import checkpoint, hardware
from cluster.faults import NODE
from cluster.spec import TrialSpec
from scoring.ground.words import StateDict
from scoring.records import (
    Evaluation,
    Header,
    Outcome,
    Record,
    RecordError,
    Writer,
    attempt_of,
    decode,
    encode,
    has_header,
    read_record,
    record_attempts,
)


def finished(spec: TrialSpec) -> Outcome | None:
    """The outcome of a trial that already ended in this run; None when it has yet to.

    A record in its place of other hyperparameters, seed, source or workload is not its own, one
    that is damaged is nobody's, and one that a node cut short is raced again.
    """
    attempts = record_attempts(spec.run, spec.key)
    if not attempts or not has_header(attempts[-1]):
        return None
    try:
        record = read_record(attempts[-1])
    except RecordError:
        return None
    outcome = record.outcome if _is_of(record.header, spec) else None
    if outcome and outcome.extra.get("fault") == NODE:
        return None
    if outcome and spec.extensible and outcome.end == "budget":
        return outcome if outcome.steps >= spec.budget.steps else None
    return outcome


def next_record(spec: TrialSpec) -> Path:
    """Where the trial's next attempt is told: after the last, though one before was moved away."""
    attempts = record_attempts(spec.run, spec.key)
    return spec.record(attempt_of(attempts[-1]) + 1 if attempts else 0)


def amend(record: Record, outcome: Outcome) -> Outcome:
    """Write `outcome` in the place of the one in the record, at once or not at all.

    Raises:
        OSError: it cannot be written.
    """
    lines = record.path.read_text(encoding="utf-8").splitlines(keepends=True)
    if not isinstance(decode(lines[-1]), Outcome):
        return outcome
    scratch = record.path.with_suffix(f".{os.getpid()}.part")
    try:
        with scratch.open("w", encoding="utf-8") as file:
            file.write("".join(lines[:-1]) + encode(outcome) + "\n")
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(record.path)
    finally:
        scratch.unlink(missing_ok=True)
    return outcome


def cannot_matter(spec: TrialSpec) -> bool:
    """Whether the trial need not begin, by what is known of others; one that has begun goes on."""
    if spec.stop is None or spec.stop.after > 0:
        return False
    return not record_attempts(spec.run, spec.key)


def write_not_begun(spec: TrialSpec) -> Outcome:
    """Record that the trial was pruned before it began."""
    assert spec.stop is not None
    paired = 0.0 if spec.pace else None
    outcome = Outcome("pruned", 0, 0.0, 0.0, f"not started: {spec.stop.why}", paired=paired)
    writer = Writer(spec.record(0))
    writer.write(header_of(spec, []), outcome)
    writer.close()
    return outcome


def write_failure(spec: TrialSpec, reason: str, **extra: Any) -> Outcome:
    """End a trial whose process cannot write any more, in an attempt of its own.

    Where the fault is the node's (`fault=NODE`), the trial keeps its checkpoint, and is raced again
    when the run is resumed.
    """
    begun = list(filter(has_header, record_attempts(spec.run, spec.key)))
    seen = _seen(begun[-1]) if begun else ()
    writer = Writer(next_record(spec), seen)
    if not seen:
        writer.write(header_of(spec, []))
    beginning = Evaluation(0, 0.0, 0.0, {}, 0.0 if spec.pace else None)
    last = [beginning, *read_record(writer.path).evaluations][-1]
    outcome = Outcome("failed", last.steps, last.wall_s, last.cpu_s, reason, extra, last.paired)
    writer.write(outcome)
    writer.close()
    forget_checkpoint(spec, outcome)
    return outcome


def forget_checkpoint(spec: TrialSpec, outcome: Outcome) -> None:
    """An ended trial needs none, unless it may be given more steps or a node let it down."""
    if outcome.extra.get("fault") == NODE or (spec.extensible and outcome.end == "budget"):
        return
    checkpoint.remove(spec.checkpoint)


def _seen(path: Path) -> tuple[str, ...]:
    """The lines of a record but for the end that a node put to it; none where it is damaged."""
    try:
        record = read_record(path)
    except RecordError:
        return ()
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return tuple(lines[:-1] if record.outcome else lines)


def header_of(spec: TrialSpec, cores: list[int], data_sha256: str = "") -> Header:
    """The first line of the trial's record; `cores` are those its process is pinned to.

    `data_sha256` is empty where no data was opened.
    """
    return Header(
        workload=spec.workload,
        submission=spec.submission,
        framework=spec.source.framework,
        study=spec.study,
        trial=spec.trial,
        seed=spec.seed,
        hyperparameters=dict(spec.source.defaults) | dict(spec.hyperparameters),
        source_sha256=spec.source.sha256,
        settings_sha256=workloads.get(spec.workload).settings_sha256,
        data_sha256=data_sha256,
        target=spec.target,
        budget=spec.budget,
        clock=spec.clock,
        hardware=hardware.fingerprint(spec.resources) | {"pinned": cores},
        versions=hardware.versions(),
        ruleset=spec.ruleset,
        steps_are="batches" if spec.counts_batches else "updates",
    )


def saved_state(spec: TrialSpec) -> StateDict | None:
    """The state to continue from; None where there is none, or none of use.

    A checkpoint that is damaged, another trial's that had the same place, or other hardware's is
    as good as none: the trial starts again, and loses nothing but time.
    """
    if not spec.checkpoint.exists():
        return None
    try:
        saved = checkpoint.load(spec.checkpoint)
        header = decode(saved["record"][0])
    except (checkpoint.StateError, ValueError, LookupError):
        return None
    if not isinstance(header, Header) or not _is_of(header, spec):
        return None
    here = hardware.fingerprint(spec.resources)["digest"]
    return saved if header.hardware["digest"] == here else None


def _is_of(header: Header, spec: TrialSpec) -> bool:
    """Whether the record was begun by this very trial on the same workload.

    Its source, seed, hyperparameters and the workload's numbers must be the same.
    """
    hyperparameters = json.loads(json.dumps(dict(spec.hyperparameters)))
    same_point = hyperparameters == {
        name: header.hyperparameters.get(name) for name in hyperparameters
    }
    ours = (spec.source.sha256, spec.seed, workloads.get(spec.workload).settings_sha256)
    theirs = (header.source_sha256, header.seed, header.settings_sha256)
    return same_point and ours == theirs
