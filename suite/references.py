"""The references' finished trials, kept once per hardware and copied into later runs.

`<cache>/reference/<fingerprint digest>/<workload id>/<digest of all else>.jsonl`: a trial is used
again only where everything that decides it is equal: workload and its numbers, framework, source,
hyperparameters, seed, place in the suite, target, budget, clock and hardware.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import workloads
from cluster.spec import Finished, TrialSpec
from scoring.ground.clocks import CLOCKS
from scoring.ground.ends import WHOLE
from scoring.ground.words import is_reference
from scoring.records import RecordError, read_record, record_attempts


def is_shared(spec: TrialSpec) -> bool:
    """Whether the trial is a reference's on a clock that depends on the hardware."""
    return is_reference(spec.submission) and CLOCKS[spec.clock].of_hardware


def stored_path(cache: Path, digest: str, spec: TrialSpec) -> Path:
    """Where the record of a reference's trial on the hardware `digest` is kept."""
    decides = {
        "submission": spec.submission,
        "source": spec.source.sha256,
        "settings": workloads.get(spec.workload).settings_sha256,
        "hyperparameters": dict(spec.hyperparameters),
        "place": [spec.study, spec.trial, spec.seed],
        "target": dataclasses.asdict(spec.target) if spec.target else None,
        "budget": dataclasses.asdict(spec.budget),
        "clock": spec.clock,
    }
    text = json.dumps(decides, sort_keys=True)
    name = f"{spec.submission}-{hashlib.sha256(text.encode()).hexdigest()[:24]}.jsonl"
    return cache / "reference" / digest / spec.workload / name


def reuse(specs: Sequence[TrialSpec], cache: Path, digest: str) -> list[TrialSpec]:
    """Copy kept records of this hardware's reference trials into their run; the trials so spared.

    A trial of which the run has any record already is left alone.
    """
    spared = []
    for spec in filter(is_shared, specs):
        kept = stored_path(cache, digest, spec)
        if not record_attempts(spec.run, spec.key) and _is_complete(kept):
            _copy(kept, spec.record(0))
            spared.append(spec)
    return spared


def keep(finished: Finished, cache: Path) -> None:
    """Keep a reference's finished record for later runs, under the hardware it ran on.

    An unwritable cache is no reason to stop a run: then nothing is kept.
    """
    if not is_shared(finished.spec) or finished.outcome.end not in WHOLE:
        return
    record = record_attempts(finished.spec.run, finished.spec.key)[-1]
    digest = read_record(record).header.hardware.get("digest")
    if not isinstance(digest, str):
        return
    path = stored_path(cache, digest, finished.spec)
    if not path.exists():
        try:
            _copy(record, path)
        except OSError:
            return


def _is_complete(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        outcome = read_record(path).outcome
    except RecordError:
        return False
    return outcome is not None and outcome.end in WHOLE


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=target.parent, suffix=".tmp")
    os.close(handle)
    shutil.copyfile(source, scratch)
    os.replace(scratch, target)
