"""Real Ray, real processes, really killed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

import cluster
from cluster.spec import ClusterError, Finished, Stop, TrialSpec, Update
from cluster.supervision import tree
from cluster.supervision.supervisor import supervise
from scoring.ground.words import Budget, Resources
from scoring.records import Record, read_record, record_attempts
from submissions.source import find
from tests.workloads.at_hand import workload_at_hand

from ..conftest import Make
from ..trial.test_trial import metrics

pytestmark = [pytest.mark.network, pytest.mark.filterwarnings("ignore::ResourceWarning")]
FRAMEWORKS = ("adamw", "adamw_jax")


def record_of(finished: Finished) -> Record:
    return read_record(record_attempts(finished.spec.run, finished.spec.key)[-1])


def worker_of(spec: TrialSpec) -> int:
    """The process that has the trial's record open."""
    newest = str(record_attempts(spec.run, spec.key)[-1])
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and newest in set(_open_files(process)):
            return int(process.name)
    raise AssertionError(f"no process has {newest} open")


def _open_files(process: Path) -> Iterator[str]:
    try:
        for link in (process / "fd").iterdir():
            yield os.readlink(link)
    except OSError:
        return


def race_here(specs: list[TrialSpec]) -> dict[str, Record]:
    return {f.spec.submission: record_of(f) for f in cluster.run_all(specs, executor="in_process")}


BESIDE = """\
from pathlib import Path

import torch

LR = float((Path(__file__).parent / "rate.txt").read_text())


def submission(params):
    return torch.optim.SGD(params, lr=LR)
"""


@pytest.mark.usefixtures("one_ray")
def test_a_submission_named_from_here_reads_what_lies_beside_it(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rate.txt").write_text("0.05")
    (tmp_path / "beside.py").write_text(BESIDE)
    monkeypatch.chdir(tmp_path)
    spec = dataclasses.replace(make(), submission="beside", source=find("./beside.py"))
    (finished,) = cluster.run_all([spec])
    assert finished.outcome.end == "budget", finished.outcome.reason


@pytest.mark.usefixtures("one_ray")
def test_no_more_trials_at_once_than_asked_for_and_each_is_told_what_is_known(make: Make) -> None:
    """The second ends by what the first's end told, and the third does not begin."""
    specs = [
        make("adamw", clock="steps", target=0.99, trial=trial, budget=Budget(600, 100.0))
        for trial in range(3)
    ]
    limits = {0: None, 1: Stop(150.0, "slower"), 2: Stop(0.0, "no hope")}
    known: dict[int, int] = {}
    heard: list[tuple[str, int]] = []

    def watch(update: Update) -> None:
        heard.append((update.phase, update.key[3]))

    def ask(spec: TrialSpec) -> Stop | None:
        known[spec.trial] = len(ends)
        return limits[spec.trial]

    ends: list[tuple[str, int]] = []
    for finished in cluster.run_all(specs, at_once=1, watch=watch, limits=ask):
        heard.append(("finished", finished.spec.trial))
        ends.append((finished.outcome.end, finished.outcome.steps))
    told = [news for news in heard if news[0] in ("preparing", "finished")]
    begun = [(word, trial) for trial in range(2) for word in ("preparing", "finished")]
    assert told == [*begun, ("finished", 2)]
    assert known == {0: 0, 1: 1, 2: 2}
    assert ends == [("budget", 600), ("pruned", 200), ("pruned", 0)]


STEPS = {
    "homeostatic-toy-v3": 1600,
    "lm-toy-v2": 300,
    "recommender-toy-v3": 600,
    "rl_nap-toy-v3": 6000,
    "lifelong-toy-v3": 900,
    "climate-toy-v2": 500,
}


@pytest.mark.usefixtures("one_ray")
@pytest.mark.parametrize(
    "id", [pytest.param(id, marks=[pytest.mark.slow] * (k > 0)) for k, id in enumerate(STEPS)]
)
def test_a_killed_trial_continues_and_ends_as_if_nothing_had_happened(
    make: Make, tmp_path: Path, id: str
) -> None:
    workload_at_hand(id)
    steps = STEPS[id]
    changes = {"workload": id, "budget": Budget(steps, 300.0)}
    """As one that nobody touched, in another process and without Ray: to the last bit."""
    calm = [make(name, run=tmp_path / "calm", **changes) for name in FRAMEWORKS]
    hit = [make(name, run=tmp_path / "hit", **changes) for name in FRAMEWORKS]
    # In a process that has not imported JAX before: it looks at its number of threads but once.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        undisturbed = pool.submit(race_here, calm).result()
    moments = random.Random(3)
    kills = {spec.key: moments.randrange(steps // 10, steps * 4 // 5) for spec in hit}

    def kill(update: Update) -> None:
        if update.phase == "training" and update.steps >= kills.get(update.key, 10**9):
            spec = next(spec for spec in hit if spec.key == update.key)
            del kills[update.key]
            os.kill(worker_of(spec), signal.SIGKILL)

    disturbed = {f.spec.submission: record_of(f) for f in cluster.run_all(hit, watch=kill)}
    assert not kills, "both trials were killed"
    for name in FRAMEWORKS:
        one, two = undisturbed[name], disturbed[name]
        assert metrics(two) == metrics(one)
        assert two.outcome
        assert one.outcome
        assert (two.outcome.end, two.outcome.steps) == (one.outcome.end, one.outcome.steps)
        (core,) = two.header.hardware["pinned"]
        assert core in os.sched_getaffinity(0)
        assert two.path.name == "study0-trial0.1.jsonl", "the second attempt has its own file"
        seconds = [e.wall_s for e in two.evaluations]
        assert seconds == sorted(seconds), "the clock goes on, it does not start again"


@pytest.mark.usefixtures("one_ray")
def test_a_trial_that_ends_its_own_process_fails_with_its_last_words(make: Make) -> None:
    text = (
        "import os, sys, torch\ndef submission(params):\n"
        "    print('farewell', flush=True)\n    os._exit(3)\n"
    )
    after = make("adamw", budget=Budget(100, 100.0))
    done = {f.spec.submission: f for f in cluster.run_all([make("dies", text), after])}
    assert done["dies"].outcome.end == "failed"
    assert "exited by itself: exit code 3" in done["dies"].outcome.reason
    assert "farewell" in done["dies"].outcome.reason
    assert record_of(done["dies"]).outcome == done["dies"].outcome
    assert done["adamw"].outcome.end == "budget"


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "nonsense"])
def test_no_cluster_at_an_address_is_one_line(make: Make, address: str) -> None:
    with pytest.raises(ClusterError, match=f"no Ray cluster at {address!r}: ") as error:
        list(cluster.run_all([make("adamw")], address=address))
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("one_ray")
def test_a_trial_that_fits_no_node_is_refused(make: Make) -> None:
    spec = make("adamw", resources=Resources(cores=999))
    with pytest.raises(ClusterError, match="no node has 999 cores"):
        list(cluster.run_all([spec]))


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_one_thread_races_on_one_core(
    make: Make, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lone trial is lent one core, and what computes in it never has a second one."""
    monkeypatch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path / "locks"))
    spec = make(name, budget=Budget(600, 100.0))
    seen: list[set[int]] = []
    for news in supervise(spec):
        if isinstance(news, Update) and news.phase == "training" and news.steps and not seen:
            seen.extend(_affinities(worker_of(spec)))
    record = read_record(record_attempts(spec.run, spec.key)[-1])
    (core,) = record.header.hardware["pinned"]
    assert seen
    assert all(cores == {core} for cores in seen), "a thread may leave its core"
    assert record.outcome
    assert record.outcome.cpu_s <= 1.02 * record.outcome.wall_s + 0.02


def _affinities(pid: int) -> list[set[int]]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(ProcessLookupError):
            found.append(os.sched_getaffinity(int(task.name)))
    return found


DRIVER = """
from pathlib import Path
import cluster
from cluster.spec import TrialSpec
from scoring.ground.words import Budget
from submissions.source import find

spec = TrialSpec(Path("run").absolute(), "homeostatic-toy-v3", "my_opt",
                 find("./my_opt.py"), {}, 0, 0, 1, None, Budget(100_000, 1000.0))
try:
    list(cluster.run_all([spec], watch=lambda news: print(news.phase, flush=True)))
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


def test_a_driver_among_a_users_own_folders_ends_at_sigterm_and_leaves_no_process(
    make: Make, tmp_path: Path
) -> None:
    """What the user calls `submissions` does not shadow ours, here or on workers.

    Run as a submitted job runs: its working folder is not the workers'.
    """
    package = tmp_path / "submissions"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('the wrong package')\n")
    (tmp_path / "my_opt.py").write_text(
        "import torch\ndef submission(params, lr=0.1): return torch.optim.SGD(params, lr=lr)\n"
    )
    job = {"runtime_env": {"working_dir": "gcs://_ray_pkg_0.zip"}, "metadata": {}}
    with subprocess.Popen(
        [sys.executable, "-P", "-c", DRIVER],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        env=os.environ
        | {
            "PYTHONPATH": str(Path(cluster.__file__).parents[1]),
            "RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(job),
        },
    ) as process:
        assert process.stdout
        while b"training" not in (line := process.stdout.readline()):
            assert line, "it ended before it trained"
        worker = worker_of(dataclasses.replace(make(), submission="my_opt"))
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read().endswith(b"stopped\n")
    assert process.returncode == 0
    until = time.monotonic() + 60
    while tree.alive(worker) and time.monotonic() < until:
        time.sleep(0.1)
    assert not tree.alive(worker)
