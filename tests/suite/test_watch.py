from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.attempts import header_of
from cluster.run_lock import drive, is_driven
from cluster.spec import ClusterError, Finished, TrialSpec, Update
from scoring.records import Evaluation, Outcome, Writer
from scoring.run_file import RunFile
from suite import kept_plan
from suite.watching import Follower, seconds_since_start
from tests.suite.conftest import FakeCluster

Invoke = Callable[..., Any]


class StopError(Exception):
    pass


@pytest.fixture
def stopped(fake: FakeCluster, invoke: Invoke) -> list[TrialSpec]:
    """The trials of a run in `out` that came to an end after five of them."""

    def stop(spec: TrialSpec) -> None:
        if len(fake.trained) == 5:
            raise StopError

    fake.before = stop
    with pytest.raises(StopError):
        invoke("run", "demo", "-o", "out", "-s", "adamw", "-s", "adamw_jax")
    return kept_plan.read(Path("out")).specs(Path("out"))


def writer_of(spec: TrialSpec, attempt: int = 0) -> Writer:
    writer = Writer(spec.record(attempt))
    writer.write(header_of(spec, [0]))
    return writer


def evaluation(spec: TrialSpec, steps: int) -> Evaluation:
    assert spec.target
    return Evaluation(steps, steps / 100, steps / 100, {spec.target.metric: 3.25}, float(steps))


def test_a_run_that_nobody_drives_is_told_with_the_way_to_go_on(
    stopped: list[TrialSpec], invoke: Invoke
) -> None:
    for words in ((), ("--once",)):
        done = invoke("watch", "out", *words)
        assert done.exit_code == 1
        assert "not running; resume with: gradathlon run --resume -o out" in done.stderr
    assert f"5/{len(stopped)} done, 0 running" in done.stdout


def test_a_driver_that_was_killed_left_a_lock_file_that_nobody_holds(
    stopped: list[TrialSpec], invoke: Invoke
) -> None:
    (Path("out") / "driver.lock").write_text("process 7 on elsewhere\n0\n")
    assert not is_driven(Path("out"))
    done = invoke("watch", "out")
    assert done.exit_code == 1
    assert "not running; resume with" in done.stderr


def test_who_asks_whether_a_run_is_driven_is_in_nobodys_way(tmp_path: Path) -> None:
    with drive(tmp_path):
        assert is_driven(tmp_path)
        with pytest.raises(ClusterError, match="is already racing this run"), drive(tmp_path):
            pass
    assert not is_driven(tmp_path)
    (tmp_path / "driver.lock").touch()
    asking = os.open(tmp_path / "driver.lock", os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    threading.Timer(0.1, os.close, [asking]).start()
    with drive(tmp_path):
        assert is_driven(tmp_path)


def test_a_look_tells_who_runs_and_how_far(stopped: list[TrialSpec], invoke: Invoke) -> None:
    writer = writer_of(stopped[-1])
    writer.write(evaluation(stopped[-1], 200))
    with drive(Path("out")):
        done = invoke("watch", "out", "--once")
    writer.close()
    assert "nobody" not in done.stderr
    assert f"5/{len(stopped)} done, 1 running" in done.stdout
    row = done.stdout.splitlines()[-1]
    assert re.search(rf"{stopped[-1].submission} +0.0 +200/\d+ +3.25 +2.0 s", row)


def test_it_ends_with_the_run(fake: FakeCluster, invoke: Invoke) -> None:
    invoke("run", "demo", "-o", "out")
    with drive(Path("out")):
        done = invoke("watch", "out")
    assert done.exit_code == 0
    assert "[14/14]" in done.stderr
    assert "nobody" not in done.stderr


@pytest.mark.parametrize("date", ["2026-01-01T00:00:00", "2026-01-01T01:00:00+01:00"])
def test_a_date_without_a_zone_is_utc(date: str) -> None:
    seconds = seconds_since_start(RunFile.model_construct(date=date))
    exact = seconds_since_start(RunFile.model_construct(date="2026-01-01T00:00:00+00:00"))
    assert seconds == pytest.approx(exact, abs=60)
    assert seconds_since_start(RunFile.model_construct(date="some day")) == 0.0


def test_no_run_is_one_line(tmp_path: Path, invoke: Invoke) -> None:
    done = invoke("watch", str(tmp_path))
    assert done.exit_code == 2
    assert "no run to resume" in done.stderr


def test_of_each_record_only_what_is_new_is_told(stopped: list[TrialSpec]) -> None:
    follower = Follower(Path("out"), stopped)
    assert sum(isinstance(news, Finished) for news in follower.look()) == 5
    assert not list(follower.look())
    spec = stopped[-1]
    writer = writer_of(spec)
    writer.write(evaluation(spec, 100))
    assert list(follower.look()) == [
        Update(spec.key, "preparing"),
        Update(spec.key, "training", 100, 1.0, 3.25),
    ]
    with writer.path.open("a") as file:
        file.write('{"kind": "ev')
    assert not list(follower.look()), "half a line is left for the next look"
    again = writer_of(spec, attempt=1)
    again.write(evaluation(spec, 100), evaluation(spec, 200))
    again.write(Outcome("reached", 200, 2.0, 2.0, "met", paired=200.0))
    *_, second, last = follower.look()
    assert second == Update(spec.key, "training", 200, 2.0, 3.25)
    assert isinstance(last, Finished)
    assert last.outcome.end == "reached"
    assert not list(follower.look())
    writer.close()
    again.close()
