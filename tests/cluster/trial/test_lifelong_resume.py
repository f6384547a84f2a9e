"""A trial whose stream depends on the learner: cut off anywhere, it goes the same way."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import cluster
from cluster.spec import TrialSpec
from scoring.ground.words import Budget
from scoring.records import Record, read_record, record_attempts

from ..conftest import Make
from .test_trial import FRAMEWORKS

pytestmark = pytest.mark.network
STEPS = 400


def race(spec: TrialSpec) -> Record:
    list(cluster.run_all([spec], executor="in_process"))
    return read_record(record_attempts(spec.run, spec.key)[-1])


def told(record: Record) -> list[object]:
    evaluations = [(line.steps, dict(line.metrics)) for line in record.evaluations]
    return [evaluations, [(line.steps, line.name, line.details) for line in record.events]]


@pytest.mark.parametrize("submission", FRAMEWORKS)
def test_killed_in_the_middle_of_a_task_it_ends_the_same(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, submission: str
) -> None:
    from workloads.lifelong.data import TaskStream

    spec = make(submission, workload="lifelong-toy-v3", budget=Budget(STEPS, 1000.0))
    whole = race(make(submission, workload=spec.workload, run=tmp_path / "b", budget=spec.budget))
    draw, left = TaskStream.next, [STEPS * 3 // 4]

    def killed(self: TaskStream, policy: object) -> object:
        left[0] -= 1
        if not left[0]:
            signal.raise_signal(signal.SIGINT)
        return draw(self, policy)  # type: ignore[arg-type]

    monkeypatch.setattr("cluster.trial.loop._CHECKPOINT_SHARE", 1e9)
    monkeypatch.setattr(TaskStream, "next", killed)
    with pytest.raises(KeyboardInterrupt):
        race(spec)
    monkeypatch.setattr(TaskStream, "next", draw)
    resumed = race(spec)
    assert len(record_attempts(spec.run, spec.key)) == 2
    assert told(resumed) == told(whole)
    assert [event.name for event in whole.events].count("mastered") >= 2
