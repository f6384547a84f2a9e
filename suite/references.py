"""The references' finished trials, kept once for one way to race here, and copied into later runs.

`<cache>/reference/<fingerprint digest>/<workload id>/<name>-<key>-<digest>.jsonl`. The key is of
all that decides a trial and its time: workload, its numbers and the data that this machine made for
it, framework, source, hyperparameters, seed, place in the suite, target, budget, clock, hardware,
versions and commit, and how many trials race at once. The digest is of the record itself. Kept is
what was raced quietly; before it is used again its trial makes a few seconds of steps, which must
take as long as in the record.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import workloads
from cluster.spec import Finished, TrialSpec
from scoring.ground.clocks import CLOCKS
from scoring.ground.ends import WHOLE
from scoring.ground.files import write_whole
from scoring.ground.words import is_reference
from scoring.records import Header, Record, RecordError, read_record, record_attempts

DRIFT = 0.05
"""By how much a step may take longer or shorter than in the kept record."""
QUIET = 0.98
"""CPU seconds a second, at least, of a trial that was left alone."""
_LONG = 24

Pace = Callable[[TrialSpec, int], float | None]
"""Seconds that a step of the trial takes here and now, with so many trials side by side."""


@dataclasses.dataclass(frozen=True)
class Shelf:
    """Where records are kept that were timed in one way.

    Attributes:
        cache: the folder of everything that is kept.
        hardware: the digest of the fingerprint.
        beside: trials at once.
        versions: of all packages that a trial uses, and the commit.
    """

    cache: Path
    hardware: str
    beside: int
    versions: Mapping[str, str]

    @property
    def known(self) -> bool:
        """Whether the code is that of a commit: what is edited has no name to be kept by."""
        return not self.versions.get("commit", "").endswith("-dirty")

    def stem(self, spec: TrialSpec) -> Path:
        """The path of a trial's record, without its digest."""
        workload = workloads.get(spec.workload)
        decides = {
            "submission": spec.submission,
            "source": spec.source.sha256,
            "settings": workload.settings_sha256,
            "data": workload.made_here_sha256(),
            "hyperparameters": dict(spec.hyperparameters),
            "place": [spec.study, spec.trial, spec.seed],
            "target": dataclasses.asdict(spec.target) if spec.target else None,
            "budget": dataclasses.asdict(spec.budget),
            "clock": spec.clock,
            "resources": dataclasses.asdict(spec.resources),
            "beside": self.beside,
            "versions": dict(self.versions),
        }
        text = json.dumps(decides, sort_keys=True)
        name = f"{spec.submission}-{hashlib.sha256(text.encode()).hexdigest()[:_LONG]}"
        return self.cache / "reference" / self.hardware / spec.workload / name

    def find(self, spec: TrialSpec) -> Record | None:
        """The kept record of a trial: whole, as it was kept, and of this very trial."""
        stem = self.stem(spec)
        for path in sorted(stem.parent.glob(f"{stem.name}-*.jsonl")):
            try:
                if path.stem == f"{stem.name}-{_digest(path.read_bytes())}":
                    record = read_record(path)
                    return record if self._is_of(record, spec) else None
            except (OSError, RecordError):
                continue
        return None

    def keep(self, record: Record, spec: TrialSpec) -> None:
        """Keep a record of the trial, if it is one and none is kept; trouble stops no run."""
        if not (self.known and self._is_of(record, spec) and _was_quiet(record)):
            return
        try:
            if self.find(spec) is None:
                stem, text = self.stem(spec), record.path.read_bytes()
                _write(stem.with_name(f"{stem.name}-{_digest(text)}.jsonl"), text)
        except OSError:
            return

    def _is_of(self, record: Record, spec: TrialSpec) -> bool:
        header, outcome = record.header, record.outcome
        return (
            outcome is not None
            and outcome.end in WHOLE
            and _aims(header) == (spec.target, spec.budget, spec.clock)
            and header.key == spec.key
            and header.seed == spec.seed
            and header.source_sha256 == spec.source.sha256
            and header.settings_sha256 == workloads.get(spec.workload).settings_sha256
            and header.hardware.get("digest") == self.hardware
            and dict(header.versions) == dict(self.versions)
        )


def is_shared(spec: TrialSpec) -> bool:
    """Whether the trial is a reference's on a clock that depends on the hardware."""
    return is_reference(spec.submission) and CLOCKS[spec.clock].of_hardware


def reuse(specs: Sequence[TrialSpec], shelf: Shelf | None, pace: Pace) -> Iterator[str]:
    """Copy kept records of reference trials into their run; what was taken and what not, in words.

    A trial of which the run has any record already is left alone.
    """
    if shelf is None or not shelf.known:
        return
    stored: dict[tuple[str, str], list[tuple[TrialSpec, Record]]] = {}
    for spec in filter(is_shared, specs):
        record = None if record_attempts(spec.run, spec.key) else shelf.find(spec)
        if record is not None:
            stored.setdefault((spec.workload, spec.submission), []).append((spec, record))
    for (workload, name), trials in stored.items():
        drift = _drift(trials, pace(trials[0][0], shelf.beside))
        if drift:
            yield f"{workload}: {name} is raced again: {drift}"
            continue
        for spec, record in trials:
            _write(spec.record(0), record.path.read_bytes())
        studies = ", ".join(f"{name} study {spec.study}" for spec, _ in trials)
        yield f"{workload}: reused from an earlier run on this hardware: {studies}"


def keep(finished: Finished, shelf: Shelf | None) -> None:
    """Keep a reference's finished record for later runs."""
    spec = finished.spec
    if shelf is None or not is_shared(spec) or finished.outcome.end not in WHOLE:
        return
    try:
        record = read_record(record_attempts(spec.run, spec.key)[-1])
    except (RecordError, LookupError):
        return
    shelf.keep(record, spec)


def _drift(trials: Sequence[tuple[TrialSpec, Record]], now_s: float | None) -> str:
    """How far the steps of the kept records are from what one takes now; "" where they are not."""
    then = [_step_s(record) for _, record in trials]
    if now_s is None or None in then:
        return "its current step time could not be measured"
    low, high = min(filter(None, then)), max(filter(None, then))
    if low * (1 - DRIFT) <= now_s <= high * (1 + DRIFT):
        return ""
    then_s = low if now_s < low else high
    change = 100 * (now_s / then_s - 1)
    return f"a step now takes {now_s * 1e3:.4g} ms, {change:+.0f} % since it was recorded"


def _step_s(record: Record) -> float | None:
    seconds = record.outcome.extra.get("step_s_median") if record.outcome else None
    return float(seconds) if isinstance(seconds, float | int) and seconds > 0 else None


def _was_quiet(record: Record) -> bool:
    outcome = record.outcome
    if outcome is None:
        return False
    odd = [outcome.extra.get(name) for name in ("step_s_unsteady", "doubt", "attempts")]
    alone = record.header.hardware.get("accelerators") or outcome.cpu_s >= QUIET * outcome.wall_s
    return bool(alone) and not any(odd)


def _aims(header: Header) -> tuple[object, object, object]:
    return header.target, header.budget, header.clock


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:_LONG]


def _write(target: Path, text: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, text)
