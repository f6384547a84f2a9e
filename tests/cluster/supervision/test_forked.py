"""Trials forked from a process that stands ready, under a supervisor of its own."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.spec import TrialSpec
from cluster.supervision import forked, tree
from scoring.ground.words import Budget
from scoring.records import read_record, record_attempts
from workloads import images

from ..conftest import WORKLOAD, Make
from ..trial.test_trial import metrics

pytestmark = pytest.mark.network
SUPERVISOR = """
import json, os, pickle, sys, time
from cluster.supervision import forked, tree
from cluster.supervision.supervisor import supervise

specs = pickle.load(sys.stdin.buffer)
forked.stand_ready()
ends, standing = [], []
for number, spec in enumerate(specs):
    if number == 2:  # what stands ready is ended: the trial is forked from another
        for one in forked._ready.values():
            one._process.kill()
            one._process.wait()
    if number == 3:  # and now it stays away: the trial starts from nothing
        forked._given_up.update(forked._ready)
        while forked._ready:
            forked._ready.popitem()[1].end()
    *_, last = supervise(spec)
    ends.append(str(getattr(last, "reason", last)))
    standing.append(len(list(tree.descendants(os.getpid()))))
print(json.dumps([ends, standing, len(forked._given_up)]))
"""
DIES = """
import os, signal, torch
def submission(params):
    os.kill(os.getpid(), signal.SIGTERM)
"""


def supervised(specs: list[TrialSpec], **more: str) -> tuple[list[str], list[int], int]:
    """How they ended, how many processes stood ready after each, and what was given up."""
    done = subprocess.run(
        [sys.executable, "-c", SUPERVISOR],
        input=pickle.dumps(specs),
        capture_output=True,
        timeout=300,
        check=True,
        env=os.environ | more,
    )
    ends, standing, given_up = json.loads(done.stdout)
    return ends, standing, given_up


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path / "locks"))


@pytest.mark.parametrize("name", ["adamw", "adamw_jax"])
def test_trials_are_forked_from_one_process_and_train_as_in_their_own(
    make: Make, tmp_path: Path, name: str
) -> None:
    plain = [make(name, trial=trial, budget=Budget(200, 100.0)) for trial in range(3)]
    specs = [plain[0], make("dies", DIES), *plain[1:]]
    ends, standing, _ = supervised(specs)
    assert ends[0] == ends[2] == ends[3] == "200 steps are spent"
    assert ends[1] == "its process was killed by SIGTERM"
    frameworks = len({spec.source.framework for spec in specs})
    assert standing == [1, frameworks, 1, 0]
    records = [read_record(record_attempts(spec.run, spec.key)[-1]) for spec in plain]
    one, *others = map(metrics, records)
    assert all(other == one for other in others), "forked, and started from nothing: to the bit"
    for record in records:
        assert record.outcome
        assert "doubt" not in record.outcome.extra
    assert not [pid for pid in tree.descendants(1) if _stands_ready(pid, tmp_path)]


def test_data_are_read_before_trials_are_forked_and_what_fails_is_left_to_them() -> None:
    images.load.cache_clear()
    forked._open_data(WORKLOAD)
    assert images.load.cache_info().currsize == 1
    forked._open_data("nothing-toy-v1")


def test_a_process_with_a_second_thread_is_not_copied(make: Make, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(999,), daemon=True).start()\n"
    )
    specs = [make("adamw", trial=trial, budget=Budget(20, 100.0)) for trial in range(2)]
    path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    ends, standing, given_up = supervised(specs, PYTHONPATH=path)
    assert ends == ["20 steps are spent"] * 2
    assert standing == [0, 0], "it would only take the trials' core"
    assert given_up == 1


class Mute:
    """Stands ready, and does not answer: it may read data for as long as it likes."""

    gone = False
    ended = False

    def fork(self, *asked: object) -> None:
        raise TimeoutError

    def end(self) -> None:
        self.ended = True


def test_one_that_does_not_answer_is_ended_and_not_asked_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, mute = make("adamw"), Mute()
    key = (spec.source.framework, spec.resources)
    ready = {key: mute}
    monkeypatch.setattr(forked, "_ready", ready)
    monkeypatch.setattr(forked, "_given_up", set())
    assert forked.fork(spec, [0], ()) is None
    assert mute.ended
    forked.prepare(spec, [0])
    assert not ready


MOVES = """
import os
from cluster.supervision import forked, tree
from scoring.ground.words import Resources

tree.adopt_orphans()
first, *_, last = sorted(os.sched_getaffinity(0))
ready = forked._Ready("torch", Resources(), [first])
with open(os.devnull, "r+b") as nothing:
    ready.fork("lm-toy-v2", [last], [nothing.fileno()] * 3).wait()
print(os.sched_getaffinity(ready._process.pid) == {last})
ready.end()
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core")
def test_data_are_opened_on_the_cores_of_the_trial_that_they_are_for() -> None:
    words = [sys.executable, "-c", MOVES]
    done = subprocess.run(words, capture_output=True, timeout=300, check=True)
    assert done.stdout == b"True\n", "on those of the last one another may race by now"


def _stands_ready(pid: int, tmp_path: Path) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        return (
            b"cluster.supervision.forked" in words
            and str(tmp_path).encode() in Path(f"/proc/{pid}/environ").read_bytes()
        )
    except OSError:
        return False
