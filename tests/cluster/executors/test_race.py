"""The driver's own code, without Ray: trials on nodes that only count time."""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.attempts import amend, finished, forget_checkpoint, header_of, write_failure
from cluster.executors.race import MAX_SETBACKS, Race, _Running, longest_last_stretch
from cluster.faults import NODE
from cluster.spec import Finished, Pace, Stop, TrialSpec
from cluster.trial import bounds
from scoring.ground.ends import End
from scoring.ground.words import TrialKey
from scoring.records import Evaluation, Outcome, Writer, read_record, record_attempts
from tests.benchmarks.replay import Simulated, planned, replay

from ..conftest import METRIC, WORKLOAD


def test_a_hundred_nodes_are_busy_to_the_end(tmp_path: Path) -> None:
    specs, seconds = planned(10_000, tmp_path)
    assert replay(specs, seconds, cores=400) > 0.95


def test_nodes_that_let_trials_down_lose_no_trial(tmp_path: Path) -> None:
    specs, seconds = planned(300, tmp_path)
    replay(specs, seconds, cores=16, fails=3)  # sees that each ends once


@settings(max_examples=30)
@given(st.integers(1, 60), st.integers(1, 4))
def test_the_order_of_the_last_stretch_loses_none(trials: int, at_once: int) -> None:
    specs, _ = planned(trials, Path("/run"))
    ordered = longest_last_stretch(specs, at_once)
    since = max(0, trials - 16 * at_once)
    assert ordered[:since] == specs[:since]
    assert {spec.key for spec in ordered} == {spec.key for spec in specs}
    lengths = [spec.budget.seconds for spec in ordered[since:]]
    assert lengths == sorted(lengths, reverse=True)


def test_trials_in_flight_are_told_when_another_ends(tmp_path: Path) -> None:
    """Those of the same submission and workload alone, and only what is tighter."""
    every, _ = planned(120, tmp_path)
    specs = [
        dataclasses.replace(spec, workload=WORKLOAD)
        for spec in every
        if spec.submission in ("method1", "method2")
    ]
    first, *_ = specs
    kin = [spec for spec in specs if spec.submission == first.submission]
    seconds: dict[TrialKey, float] = {}
    for spec in specs:
        spec.record(0).parent.mkdir(parents=True, exist_ok=True)
        seconds[spec.key] = 1.0 if spec is first else 50.0
    best = Stop(1.0, "a trial of its study took 1 s")
    ended: list[TrialSpec] = []

    def limits(spec: TrialSpec) -> Stop | None:
        return best if first in ended and spec in kin else None

    race = Race(specs, lambda news: None, len(specs), Simulated(99, seconds), limits)
    while not ended:
        ended += [done.spec for done in race.look()]
    assert ended == [first]
    list(race.look())
    assert len(kin) == 3
    for spec in specs[1:]:
        assert bounds.latest(spec) == (best if spec in kin else None)
    while race.unfinished:
        list(race.look())
    assert not list(tmp_path.rglob("*.stop.json")), "ended trials leave none"


def test_the_tighter_bound_counts_and_a_damaged_one_does_not(tmp_path: Path) -> None:
    (plain,), _ = planned(1, tmp_path)
    spec = dataclasses.replace(plain, stop=Stop(5.0, "at its start"))
    assert bounds.latest(spec) == spec.stop
    bounds.path_of(spec).parent.mkdir(parents=True)
    for after, counts in ((7.0, 5.0), (3.0, 3.0)):
        bounds.publish(spec, Stop(after, "since"))
        latest = bounds.latest(spec)
        assert latest
        assert latest.after == counts
    bounds.path_of(spec).write_text('{"after": ')
    assert bounds.latest(spec) == spec.stop


def test_a_trial_let_down_again_and_again_has_one_end(tmp_path: Path) -> None:
    """A later failure goes on from what the record before had, and not from its end."""
    (spec,), _ = planned(1, tmp_path)
    spec = dataclasses.replace(spec, workload=WORKLOAD)
    for reason in ("no disk", "no disk yet"):
        write_failure(spec, reason, fault=NODE)
        record = read_record(record_attempts(spec.run, spec.key)[-1])
        assert record.outcome is not None
        assert record.outcome.reason == reason
        assert finished(spec) is None, "raced again when the run is resumed"


def test_a_retried_trial_that_its_node_lets_down_has_not_ended_as_before(tmp_path: Path) -> None:
    (spec,), seconds = planned(1, tmp_path)
    spec = dataclasses.replace(spec, workload=WORKLOAD)
    seconds = {spec.key: 1.0}
    write_failure(spec, "it raised")
    race = Race([spec], lambda news: None, 1, Simulated(1, seconds, fails=1))
    ended: list[Finished] = []
    while race.unfinished:
        ended += race.look()
    assert [done.outcome.reason for done in ended] == ["20 steps are spent"]


def test_one_that_nodes_let_down_for_good_leaves_no_bound(tmp_path: Path) -> None:
    (spec,), _ = planned(1, tmp_path)
    spec = dataclasses.replace(spec, workload=WORKLOAD)
    spec.record(0).parent.mkdir(parents=True)
    bounds.publish(spec, Stop(1.0, "another was faster"))
    lost = _Running(spec, setbacks=MAX_SETBACKS - 1)
    (done,) = Race([], lambda news: None, 1, Simulated(1, {}))._set_back(lost, "no disk")
    assert done.outcome.extra["fault"] == NODE
    assert not bounds.path_of(spec).exists()


@pytest.mark.parametrize("end", ["budget", "diverged", "failed"])
@pytest.mark.parametrize("fault", [{}, {"fault": NODE}])
def test_a_checkpoint_stays_where_a_trial_may_go_on(
    end: End, fault: dict[str, str], tmp_path: Path
) -> None:
    (aimed,), _ = planned(1, tmp_path)
    aimless = dataclasses.replace(aimed, target=None)
    aimed = dataclasses.replace(aimed, trial=1)
    for spec in (aimed, aimless):
        spec.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        cut_off = spec.checkpoint.with_name(f"{spec.checkpoint.name}.4711.part")
        for path in (spec.checkpoint, cut_off):
            path.touch()
        forget_checkpoint(spec, Outcome(end, 1, 1.0, 1.0, "", fault))
        goes_on = bool(fault) or (spec is aimless and end == "budget")
        assert spec.checkpoint.exists() == cut_off.exists() == goes_on


def test_what_a_trial_had_measured_is_not_lost_with_its_next_attempt(tmp_path: Path) -> None:
    """One that died before its first line, as on a full disk."""
    (spec,), _ = planned(1, tmp_path)
    pace = Pace(spec.source, {})
    spec = dataclasses.replace(spec, workload=WORKLOAD, clock="paired", pace=pace)
    writer = Writer(spec.record(0))
    writer.write(header_of(spec, []), Evaluation(200, 2.0, 1.0, {METRIC: 0.5}, 180.0))
    writer.close()
    spec.record(1).touch()
    outcome = write_failure(spec, "no disk", fault=NODE)
    assert (outcome.steps, outcome.wall_s, outcome.paired) == (200, 2.0, 180.0)
    record = read_record(record_attempts(spec.run, spec.key)[-1])
    assert [line.steps for line in record.evaluations] == [200]


def test_an_end_that_cannot_be_amended_leaves_the_record_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (spec,), _ = planned(1, tmp_path)
    spec = dataclasses.replace(spec, workload=WORKLOAD)
    outcome = write_failure(spec, "no disk")
    record = read_record(record_attempts(spec.run, spec.key)[-1])
    before = record.path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        amend(record, outcome)
    assert record.path.read_bytes() == before
    assert list(record.path.parent.iterdir()) == [record.path]
