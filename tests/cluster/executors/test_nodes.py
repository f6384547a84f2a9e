"""A cluster of two real nodes on this machine, one of which has run folders of its own."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from ray.cluster_utils import Cluster

import cluster
from cluster.executors import ray_nodes, ray_pool
from cluster.executors.parcels import NODE_RUNS
from cluster.executors.ray_quiet import SETTINGS
from cluster.node_data import fetch_all
from cluster.spec import ClusterError, TrialSpec, Update
from scoring.ground.words import Budget
from scoring.records import Record, read_record, record_attempts
from suite.cli import main

from ..conftest import WORKLOAD, Make
from ..trial.test_trial import metrics
from .test_ray import worker_of

pytestmark = [pytest.mark.network, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folders of the second node."""
    return tmp_path_factory.mktemp("apart")


@pytest.fixture(scope="module")
def address(apart: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a cluster of two nodes of one core each."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        patch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path_factory.mktemp("locks")))
        nodes = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 1, "include_dashboard": False},
        )
        patch.setenv(NODE_RUNS, str(apart))
        with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as own:
            nodes.add_node(num_cpus=1, temp_dir=own)  # its sockets want short names
            patch.delenv(NODE_RUNS)
            nodes.wait_for_nodes()
            yield nodes.address
            nodes.shutdown()


def records_of(specs: list[TrialSpec]) -> list[Record]:
    return [read_record(record_attempts(spec.run, spec.key)[-1]) for spec in specs]


@pytest.mark.slow
def test_records_come_home_from_a_node_that_does_not_see_the_runs_folder(
    make: Make, apart: Path, address: str
) -> None:
    specs = [make("adamw", trial=trial, budget=Budget(1500, 300.0)) for trial in range(4)]
    seen: set[str] = set()
    killed: list[TrialSpec] = []

    def watch(news: Update) -> None:
        elsewhere = {path.name for path in apart.rglob("*.jsonl")}
        seen.update(elsewhere)
        if news.phase == "training" and news.steps >= 400 and not killed:
            spec = next(spec for spec in specs if spec.key == news.key)
            (folder,) = list(apart.iterdir()) or [None]
            if folder is None or not record_attempts(folder, spec.key):
                return
            killed.append(spec)
            home = record_attempts(spec.run, spec.key)[-1]
            assert read_record(home).evaluations, "what it told so far is at home"
            os.kill(worker_of(make("adamw", run=folder, trial=spec.trial)), signal.SIGKILL)

    ended = {f.spec.key: f.outcome for f in cluster.run_all(specs, address=address, watch=watch)}
    assert seen, "the second node raced in its own folder"
    assert killed
    first, *others = records_of(specs)
    for spec, record in zip(specs, [first, *others], strict=True):
        assert record.outcome == ended[spec.key]
        assert record.outcome.end == "budget"
        assert metrics(record) == metrics(first)
    (hit,) = killed
    assert len(record_attempts(hit.run, hit.key)) == 2
    assert not list(apart.rglob("*.jsonl")), "what came home is not kept twice"


def test_a_resumed_run_knows_what_came_home(make: Make, apart: Path, address: str) -> None:
    specs = [make("adamw", trial=trial, budget=Budget(100, 300.0)) for trial in range(2)]
    first = [f.outcome for f in cluster.run_all(specs, address=address)]
    news: list[Update] = []
    again = [f.outcome for f in cluster.run_all(specs, address=address, watch=news.append)]
    assert not news
    assert sorted(map(repr, again)) == sorted(map(repr, first))


@pytest.mark.slow
def test_a_mixed_cluster_lends_a_run_one_kind_of_hardware(
    make: Make, apart: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ray_nodes.ask_nodes

    def ask_nodes(question: object, *rest: object) -> list[ray_nodes.Reply[object]]:
        replies = asked(question, *rest)  # type: ignore[arg-type]
        for number, reply in enumerate(replies):
            if isinstance(reply.answer, dict):
                reply.answer.update(digest=f"kind {number}", cpu=f"cpu {number}")
        return replies

    monkeypatch.setattr(ray_pool, "ask_nodes", ask_nodes)
    specs = [make("adamw", trial=trial, budget=Budget(100, 300.0)) for trial in range(3)]
    told: list[str] = []
    list(cluster.run_all(specs, address=address, tell=told.append))
    assert len(told) == 2
    assert told[0].startswith("races on 1 node with 1 cores of hardware kind 0")
    assert "skipped: 1 node" in told[1]
    assert "cpu: cpu 1 instead of cpu 0" in told[1]
    assert all(record.outcome for record in records_of(specs))


@pytest.mark.slow
def test_each_node_is_asked_once_and_says_what_troubles_it(address: str) -> None:
    replies = ray_nodes.ask_cluster(address, os.getpid)
    assert len({reply.answer for reply in replies}) == len(replies) == 2
    assert len({reply.node.name for reply in replies}) == 2
    for reply in ray_nodes.ask_cluster(address, os.abort, patience_s=60):
        assert reply.answer is None
        assert reply.trouble


@pytest.mark.slow
def test_data_are_fetched_on_each_node(address: str) -> None:
    done = CliRunner().invoke(main, ["data", "fetch", WORKLOAD, "--address", address])
    assert done.exit_code == 0, done.output
    assert sorted(line.rpartition(": ")[2] for line in done.stdout.splitlines()) == ["here"] * 2


@pytest.mark.slow
def test_the_doctor_looks_at_each_node(address: str) -> None:
    done = CliRunner().invoke(main, ["doctor", "--address", address])
    assert done.stdout.count("1 cores and 0 accelerators for trials") == 2
    assert done.stdout.count("reference kernel") == 2


def test_a_run_that_no_node_has_the_packages_for_is_refused_before_it_starts(
    make: Make, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_pool, "needs", lambda sources: {"never_heard_of": {"never": "1.0"}})
    told: list[str] = []
    with pytest.raises(
        ClusterError, match=r"no node has the packages .* --runtime-env-json"
    ) as error:
        list(cluster.run_all([make("adamw")], address=address, tell=told.append))
    assert "never_heard_of is not installed (never 1.0)" in str(error.value)
    assert len([line for line in told if "is skipped: never_heard_of" in line]) == 2
    assert not record_attempts(make().run, make().key)


@pytest.mark.slow
def test_a_node_without_the_data_stands_aside(
    make: Make, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ray_nodes.ask_nodes

    def ask_nodes(question: object, *rest: object) -> list[ray_nodes.Reply[object]]:
        replies = asked(question, *rest)  # type: ignore[arg-type]
        if getattr(question, "func", None) is fetch_all:
            replies[1] = ray_nodes.Reply(replies[1].node, None, "the index cannot be reached")
        return replies

    monkeypatch.setattr(ray_pool, "ask_nodes", ask_nodes)
    told: list[str] = []
    specs = [make("adamw", trial=trial, budget=Budget(100, 300.0)) for trial in range(2)]
    list(cluster.run_all(specs, address=address, tell=told.append))
    assert len(told) == 1
    assert told[0].endswith(" is skipped: the index cannot be reached")
    assert all(record.outcome for record in records_of(specs))
