"""Trials forked from a process that stands ready, under a supervisor of its own."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import tree
from scoring.ground.words import Budget
from scoring.records import read_record, record_attempts

from .conftest import Make
from .test_trial import metrics

pytestmark = pytest.mark.network
SUPERVISOR = """
import json, os, pickle, signal, sys
from cluster import forked, tree
from cluster.supervisor import supervise

specs = pickle.load(sys.stdin.buffer)
forked.stand_ready()
ends, standing = [], set()
for number, spec in enumerate(specs):
    if number == 2:  # what stands ready is ended: the trial starts from nothing
        for one in forked._ready.values():
            one._process.kill()
    *_, last = supervise(spec)
    ends.append(str(getattr(last, "reason", last)))
    standing.add(tuple(tree.descendants(os.getpid())))
print(json.dumps([ends, sorted(len(one) for one in standing)]))
"""
DIES = """
import os, signal, torch
def submission(params):
    os.kill(os.getpid(), signal.SIGTERM)
"""


def test_trials_are_forked_from_one_process_and_train_as_in_their_own(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path / "locks"))
    plain = [make("adamw", trial=trial, budget=Budget(200, 100.0)) for trial in range(3)]
    specs = [plain[0], make("dies", DIES), *plain[1:]]
    done = subprocess.run(
        [sys.executable, "-c", SUPERVISOR],
        input=pickle.dumps(specs),
        capture_output=True,
        timeout=300,
        check=True,
    )
    ends, standing = json.loads(done.stdout)
    assert ends[0] == ends[2] == ends[3] == "200 steps are spent"
    assert ends[1] == "its process was ended by SIGTERM"
    assert standing == [0, 1, 1], "one stood ready for two trials, then none, then another"
    one, *others = [metrics(read_record(record_attempts(spec.run, spec.key)[-1])) for spec in plain]
    assert all(other == one for other in others), "forked, and started from nothing: to the bit"
    assert not [pid for pid in tree.descendants(1) if _stands_ready(pid, tmp_path)]


def _stands_ready(pid: int, tmp_path: Path) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        return (
            b"cluster.forked" in words
            and str(tmp_path).encode() in Path(f"/proc/{pid}/environ").read_bytes()
        )
    except OSError:
        return False
