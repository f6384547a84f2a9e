"""Real processes that misbehave, one at a time, under a supervisor and without Ray."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.attempts import write_failure
from cluster.faults import NodeError
from cluster.spec import TrialSpec, Update
from cluster.supervision import supervisor, tree
from cluster.supervision.supervisor import supervise
from scoring.ground.words import Budget
from scoring.records import Outcome, read_record, record_attempts

from ..conftest import Make

pytestmark = pytest.mark.network

MISBEHAVES = """
import ctypes, os, signal, sys, threading, time
import numpy as np
import torch

class Opt(torch.optim.SGD):
    n = 0
    hog = []
    def step(self, closure=None):
        Opt.n += 1
        if Opt.n == 210:
            self.act()
        return super().step(closure)
    def act(self):
        WHAT

def submission(params, lr=0.01):
    return Opt(params, lr=lr)
"""


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path / "locks"))


def misbehaving(make: Make, what: str) -> TrialSpec:
    return make("odd", MISBEHAVES.replace("WHAT", what), budget=Budget(400, 100.0))


def ended(spec: TrialSpec) -> Outcome | NodeError:
    last = list(supervise(spec))[-1]
    assert isinstance(last, Outcome | NodeError)
    return last


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("os._exit(7)", "its process exited by itself: exit code 7"),
        ("ctypes.string_at(0)", "its process was killed by SIGSEGV"),
        ("os.kill(os.getpid(), 40)", "its process was killed by signal 40"),
    ],
)
def test_whatever_a_submission_does_to_itself_is_its_own_failure(
    make: Make, what: str, reason: str
) -> None:
    spec = misbehaving(make, what)
    outcome = ended(spec)
    assert isinstance(outcome, Outcome)
    assert outcome.end == "failed"
    assert reason in outcome.reason
    assert outcome.steps == 200, "its last evaluation"
    assert read_record(record_attempts(spec.run, spec.key)[-1]).outcome == outcome


def test_a_process_killed_from_outside_is_the_nodes_fault(make: Make) -> None:
    fault = ended(misbehaving(make, "os.kill(os.getpid(), signal.SIGKILL)"))
    assert isinstance(fault, NodeError)
    assert "SIGKILL" in str(fault)


def test_a_hang_that_holds_the_interpreter_is_ended(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = lambda spec, training, wall_s: 6.0 if training else 300.0  # noqa: E731
    monkeypatch.setattr(supervisor, "silence_s", quick)
    outcome = ended(misbehaving(make, "ctypes.PyDLL(None).sleep(100000)"))
    assert isinstance(outcome, Outcome)
    assert "sent no update for 6 s and was stopped" in outcome.reason


def test_a_trial_that_eats_memory_ends_alone(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "memory_share", lambda cores: 1_500_000_000)
    outcome = ended(misbehaving(make, "Opt.hog.append(np.ones(250_000_000)); time.sleep(30)"))
    assert isinstance(outcome, Outcome)
    assert outcome.end == "failed"
    assert "more than its share of 1.5 GB" in outcome.reason


def test_children_end_with_their_trial_and_what_it_prints_is_in_a_log(
    make: Make, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """And what the supervising process runs beside is left alone."""
    told = tmp_path / "child"
    what = (
        "\n        print('line ' * 100_000)\n"
        "        __import__('subprocess').Popen(['sleep', '600'])\n"
        "        if os.fork() == 0:\n            os.setsid()\n            if os.fork() == 0:\n"
        f"                open({str(told)!r}, 'w').write(str(os.getpid()))\n"
        "                time.sleep(1000)\n            os._exit(0)\n        os.wait()"
    )
    before = set(tree.descendants(os.getpid()))
    spec = misbehaving(make, what)
    beside = subprocess.Popen(["sleep", "600"])
    try:
        outcome = ended(spec)
        assert isinstance(outcome, Outcome)
        assert outcome.end == "budget"
        assert outcome.extra["leftover_processes"] == 2
        assert outcome.extra["witness_wall_s"] >= outcome.wall_s
        assert outcome.extra["witness_cpu_s"] > 0
        assert not Path(f"/proc/{told.read_text()}").exists()
        assert beside.poll() is None
        # Python's own resource tracker may have been started meanwhile.
        sleepers = [pid for pid in tree.descendants(os.getpid()) if _command(pid) == "sleep"]
        assert {*sleepers} - before == {beside.pid}
    finally:
        beside.kill()
        beside.wait()
    assert "line" not in capfd.readouterr().out
    assert "line line" in spec.record(0).with_suffix(".log").read_text()


def test_what_a_trial_printed_names_no_user(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = misbehaving(make, f"print('{tmp_path}/me.py:3: a warning')")
    assert isinstance(ended(spec), Outcome)
    told = spec.record(0).with_suffix(".log").read_text()
    assert "~/me.py:3: a warning" in told and str(tmp_path) not in told


def test_a_slowed_clock_and_a_forged_line_stand_out(make: Make) -> None:
    text = MISBEHAVES.replace("WHAT", "pass").replace(
        "class Opt",
        "import gc\n"
        "c = sys.modules['cluster.trial.clock']\n"
        "real = c._now_ns\n"
        "c._now_ns = lambda: real() // 20\n\nclass Opt",
    )
    text = text.replace("    return Opt(", FORGE + "    return Opt(").replace(
        "Opt.n += 1", "Opt.n += 1; time.sleep(0.01)"
    )
    outcome = ended(make("cheat", text, budget=Budget(400, 100.0)))
    assert isinstance(outcome, Outcome)
    assert outcome.wall_s < 1
    assert "s passed, of which the trial reports" in outcome.extra["doubt"]
    assert "an evaluation at step 1 that was not reported" in outcome.extra["doubt"]


FORGE = """
    from scoring.records import Evaluation
    for o in gc.get_objects():
        if type(o).__name__ == "_Trial" and o._clock._since:
            metrics = {"prequential/accuracy": 0.9, "validation/accuracy": 0.9}
            o._writer.write(Evaluation(1, 0.01, 0.01, metrics))
"""


def test_a_trial_does_not_outlive_its_supervisor(make: Make, tmp_path: Path) -> None:
    script = (
        "import pickle, sys\nfrom cluster.supervision.supervisor import supervise\n"
        "for news in supervise(pickle.load(sys.stdin.buffer)):\n    print(news, flush=True)\n"
    )
    import pickle

    spec = make(budget=Budget(100_000, 1000.0))
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(pickle.dumps(spec))
        process.stdin.close()
        while b"training" not in process.stdout.readline():
            pass
        children = list(tree.descendants(process.pid))
        process.send_signal(signal.SIGKILL)
    assert children
    until = time.monotonic() + 30
    while any(tree.alive(pid) for pid in children) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(tree.alive(pid) for pid in children)


def test_waiting_for_a_core_is_told(make: Make) -> None:
    import contextlib

    from cluster.cores import available_cores, lock_cores

    with contextlib.ExitStack() as locks:
        assert lock_cores(len(available_cores()), locks)
        news = supervise(make(budget=Budget(200, 100.0)))
        assert next(news) == Update(make().key, "waiting for a core")
        news.close()  # type: ignore[attr-defined]


def test_a_process_that_dies_before_the_submissions_code_ran_is_the_nodes_affair(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = [sys.executable, "-c", "import sys; sys.exit('no room for torch')"]
    monkeypatch.setattr(supervisor, "python", lambda module, writing: dies)
    spec = make(budget=Budget(100, 100.0))
    write_failure(spec, "as it ended before it was to be retried")
    fault = ended(spec)
    assert isinstance(fault, NodeError)
    assert "before the submission's code ran (1); last output: no room for torch" in str(fault)


def _command(pid: int) -> str:
    path = Path(f"/proc/{pid}/comm")
    return path.read_text().strip() if path.exists() else ""


def test_one_that_cuts_the_line_and_stays_is_ended(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_LAST_S", 1.0)
    what = "os.closerange(3, 256); ctypes.PyDLL(None).sleep(100000)"
    outcome = ended(misbehaving(make, what))
    assert isinstance(outcome, Outcome)
    assert "closed the pipe it reports through and was stopped" in outcome.reason


def test_data_that_take_too_long_are_no_fault_of_the_submission(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has not run: neither that long a silence nor what the data hold is its doing."""
    monkeypatch.setattr(supervisor, "silence_s", lambda spec, training, wall_s: 0.1)
    fault = ended(make("sgd"))
    assert isinstance(fault, NodeError)
    assert str(fault) == "it sent no update for 0 s and was stopped"


def test_a_trial_whose_process_cannot_be_started_leaves_nothing_open(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of Ray's goes on, and races others."""
    monkeypatch.setattr(supervisor, "python", lambda module, writing: ["/nowhere/python"])
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        list(supervise(make()))
    until = time.monotonic() + 30
    while set(os.listdir("/proc/self/fd")) - before and time.monotonic() < until:
        time.sleep(0.05)
    assert set(os.listdir("/proc/self/fd")) <= before


COPIES = """
import os, time
held = bytearray(os.urandom(1)) * 200_000_000
if os.fork() == 0 or os.fork() == 0:
    time.sleep(600)
print("ready", flush=True)
time.sleep(600)
"""


def test_what_copies_of_a_process_share_is_held_once() -> None:
    with subprocess.Popen([sys.executable, "-c", COPIES], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            each, once = tree.private_bytes(process.pid), tree.proportional_bytes(process.pid)
        finally:
            for pid in [*tree.descendants(process.pid), process.pid]:
                os.kill(pid, signal.SIGKILL)
    assert each > 590_000_000
    assert 195_000_000 < once < 300_000_000


def test_a_record_that_a_submission_removed_is_said_to_be_gone(make: Make) -> None:
    spec = make("gone", MISBEHAVES.replace("WHAT", "pass"), budget=Budget(200, 100.0))
    news = supervise(spec)
    for update in news:
        if isinstance(update, Update) and update.steps == 200:
            break
    record_attempts(spec.run, spec.key)[-1].unlink()
    *_, outcome = news
    assert isinstance(outcome, Outcome)
    assert (outcome.end, outcome.reason) == ("failed", "its record is missing")
