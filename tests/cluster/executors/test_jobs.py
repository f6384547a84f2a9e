"""The way in from outside of a cluster: a real job, submitted to a real head."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

import cluster
from cluster.executors.ray_quiet import SETTINGS
from scoring.records import read_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.filterwarnings("ignore"),  # Ray's own, of its client's packages
]
SUITE = """
title: one short trial
workloads: [homeostatic-toy-v3]
submissions: [./my_opt.py]
ruleset: self
studies: 1
clock: steps
budget_factor: 0.05
"""
MINE = """
import torch
import my_plugin

def submission(params):
    return torch.optim.SGD(params, lr=my_plugin.LR)
"""
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the head of a cluster of one core takes jobs."""
    pytest.importorskip("aiohttp_cors", reason="pip install 'ray[default]'")
    if not shutil.which("gradathlon", path=PATH):
        pytest.skip("the command is not installed")
    own = {
        "PATH": PATH,
        "PYTHONPATH": str(Path(cluster.__file__).parents[1]),
        "GRADATHLON_CORE_LOCKS": str(tmp_path / "locks"),
    }
    for name, value in (SETTINGS | own).items():
        monkeypatch.setenv(name, value)
    port = free_port()
    head = {"num_cpus": 1, "include_dashboard": True, "dashboard_port": port}
    # Another cluster on this machine has the usual one.
    head["dashboard_agent_listen_port"] = free_port()
    nodes = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        nodes.shutdown()


def submit(jobs: str, entrypoint: str, runtime_env: dict[str, Any]) -> tuple[Any, str]:
    """The client and the job; a head that has just started takes none yet."""
    from ray.job_submission import JobSubmissionClient

    until = time.monotonic() + 240
    while True:
        try:
            client = JobSubmissionClient(jobs)
            return client, client.submit_job(entrypoint=entrypoint, runtime_env=runtime_env)
        except (OSError, RuntimeError):
            if time.monotonic() > until:
                raise
        time.sleep(2)


def end_of(client: Any, job: str) -> tuple[str, str]:
    """Its status and what it said; a busy head may not answer at times."""
    until = time.monotonic() + 500
    while time.monotonic() < until:
        with contextlib.suppress(OSError, RuntimeError):
            status = client.get_job_status(job)
            if status.is_terminal():
                return str(status.value), client.get_job_logs(job)
        time.sleep(2)
    return "none in time", client.get_job_logs(job)


def test_a_submitted_job_races_what_its_working_folder_holds_and_brings_modules(
    jobs: str, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "mine.yaml").write_text(SUITE)
    (folder / "my_opt.py").write_text(MINE)
    (tmp_path / "my_plugin").mkdir()
    (tmp_path / "my_plugin" / "__init__.py").write_text("LR = 0.1\n")
    client, job = submit(
        jobs,
        f"gradathlon run mine.yaml --no-reference --address auto -o {tmp_path / 'out'}",
        {"working_dir": str(folder), "py_modules": [str(tmp_path / "my_plugin")]},
    )
    status, told = end_of(client, job)
    assert status == "SUCCEEDED", told
    assert "my_opt" in told
    (record,) = read_run(tmp_path / "out")
    assert record.outcome
    assert record.outcome.end == "budget"
