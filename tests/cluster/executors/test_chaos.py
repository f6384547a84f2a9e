"""Twenty-four trials over three nodes where everything dies now and then, and nothing changes.

CHAOS_TRIALS and CHAOS_STEPS make it shorter, CHAOS_SEED makes it another.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

import cluster
from cluster.executors.parcels import NODE_RUNS
from cluster.executors.ray_quiet import SETTINGS
from cluster.spec import TrialSpec
from cluster.supervision.child import NAME
from scoring.ground.words import Budget
from scoring.records import Record, read_record, record_attempts

from ..conftest import Make
from ..trial.test_trial import metrics

pytestmark = [
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
STEPS = int(os.environ.get("CHAOS_STEPS", "600"))
SEEDS = (7, 8, 9, 10)
TRIALS = int(os.environ.get("CHAOS_TRIALS", "24"))
DRIVE = """
import pickle, sys
import cluster
specs, address = pickle.load(sys.stdin.buffer)
for done in cluster.run_all(specs, address=address):
    print("ended", done.outcome.end, flush=True)
print("whole", flush=True)
"""


def short() -> tempfile.TemporaryDirectory[str]:
    """A folder for Ray, whose sockets want short names."""
    return tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)


class Nodes:
    """Three nodes; the second and third have run folders of their own, the third's disk is tiny."""

    def __init__(self, scratch: Path, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.locks = scratch / "locks"
        self.folders = [scratch / "two", scratch / "three"]
        for folder in self.folders:
            folder.mkdir()
        self._ray = contextlib.ExitStack()
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        patch.setenv("GRADATHLON_CORE_LOCKS", str(self.locks))
        head = {"num_cpus": 1, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.second = self._add(self.folders[0])
        self._add(self.folders[1])
        self.cluster.wait_for_nodes()

    def _add(self, folder: Path) -> object:
        self._patch.setenv(NODE_RUNS, str(folder))
        # Nodes that share one remove each other's copy of the code that travels.
        node = self.cluster.add_node(num_cpus=1, temp_dir=self._ray.enter_context(short()))
        self._patch.delenv(NODE_RUNS)
        return node

    def end(self) -> None:
        self.cluster.shutdown()
        self._ray.close()

    def kill_second(self) -> None:
        """With all that runs there; another takes its place."""
        self.cluster.remove_node(self.second, allow_graceful=False)
        self.second = self._add(self.folders[0])


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of 20 MB, where this user may mount one; gone with this process, however that ends."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "none", str(folder)],
        capture_output=True,
        check=False,
    )
    # Its standard input ends with this process, or below.
    keeper = subprocess.Popen(
        ["sh", "-c", 'cat > /dev/null; umount -l "$1"', "keeper", str(folder)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert keeper.stdin
    try:
        yield
    finally:
        keeper.stdin.close()
        code = keeper.wait()
        assert code == 0 or mounted.returncode, "it is still mounted"


def trials_of(locks: Path) -> list[int]:
    """Processes of trials on the nodes that have these locks: of this test's, and of no other."""
    mark = f"GRADATHLON_CORE_LOCKS={locks}".encode()
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if not process.name.isdigit():
                continue
            if (process / "comm").read_text().strip() != NAME:
                continue
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


class Driver:
    """A driver in a process of its own, and how many trials it saw end."""

    def __init__(self, specs: list[TrialSpec], address: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdin
        self.process.stdin.write(pickle.dumps((specs, address)))
        self.process.stdin.close()
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as stdout:
            self.lines.extend(line.decode().strip() for line in stdout)

    def wait_for(self, ended: int) -> None:
        while self.process.poll() is None and len(self.lines) < ended:
            time.sleep(0.2)

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def end(self) -> None:
        self.process.wait()
        self._reader.join()


def flip_a_byte(folders: list[Path], chance: random.Random) -> bool:
    """In the middle of some checkpoint."""
    kept = sorted(path for folder in folders for path in folder.rglob("*.checkpoint.safetensors"))
    if not kept:
        return False
    path = chance.choice(kept)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return True


def record_of(spec: TrialSpec) -> Record:
    return read_record(record_attempts(spec.run, spec.key)[-1])


def test_a_board_is_the_same_whatever_dies_on_the_way(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path / "locks"))
    budget = Budget(STEPS, 1000.0)
    calm = [
        make("adamw", run=tmp_path / "calm", seed=seed, trial=seed, budget=budget) for seed in SEEDS
    ]
    list(cluster.run_all(calm))
    undisturbed = {spec.seed: metrics(record_of(spec)) for spec in calm}
    specs = [
        make("adamw", run=tmp_path / "hit", seed=SEEDS[trial % 4], trial=trial, budget=budget)
        for trial in range(TRIALS)
    ]
    chance = random.Random(int(os.environ.get("CHAOS_SEED", "0")))
    nodes = Nodes(tmp_path, monkeypatch)
    drivers: list[Driver] = []
    try:
        with small_disk(nodes.folders[1]):
            did = make_trouble(specs, nodes, chance, drivers)
    finally:
        for driver in drivers:
            driver.kill()
        nodes.end()
    assert {"trial", "supervisor", "raylet", "driver"} <= set(did), did
    for spec in specs:
        record = record_of(spec)
        assert record.outcome
        assert (record.outcome.end, record.outcome.steps) == ("budget", STEPS)
        assert metrics(record) == undisturbed[spec.seed]


def make_trouble(
    specs: list[TrialSpec], nodes: Nodes, chance: random.Random, drivers: list[Driver]
) -> list[str]:
    """Race to the end, with faults in an order of their own; what was done."""
    did: list[str] = []
    faults = ["trial"] * 4 + ["supervisor"] * 3 + ["raylet", "driver", "driver", "disk"]
    chance.shuffle(faults)
    for _ in range(12):
        driver = Driver(specs, nodes.cluster.address)
        drivers.append(driver)
        filler = nodes.folders[1] / "filler"
        while driver.process.poll() is None and faults:
            time.sleep(chance.uniform(1, 6))
            filler.unlink(missing_ok=True)
            pids = trials_of(nodes.locks)
            if not pids:
                continue
            fault = faults.pop()
            did.append(fault)
            if fault == "driver":
                driver.kill()
                did += ["byte"] * flip_a_byte([specs[0].run, *nodes.folders], chance)
            elif fault == "raylet":
                nodes.kill_second()
            elif fault == "disk":
                with contextlib.suppress(OSError):
                    filler.write_bytes(bytes(30_000_000))
            else:
                pid = chance.choice(pids)
                with contextlib.suppress(OSError):
                    os.kill(pid if fault == "trial" else parent_of(pid), signal.SIGKILL)
        driver.end()
        filler.unlink(missing_ok=True)
        assert set(driver.lines) <= {"ended budget", "ended failed", "whole"}, "stdout is ours"
        if driver.lines[-1:] == ["whole"] and "ended failed" not in driver.lines:
            return did
    raise AssertionError(f"never whole: {did}")
