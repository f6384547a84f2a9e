"""The driver's own code, without Ray: trials on nodes that only count time."""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.attempts import amend, finished, write_failure
from cluster.executors.race import Race, longest_last_stretch
from cluster.faults import NODE
from cluster.spec import Stop, TrialSpec
from cluster.trial import bounds
from scoring.ground.words import TrialKey
from scoring.records import read_record, record_attempts
from tests.benchmarks.replay import Simulated, planned, replay

from ..conftest import WORKLOAD


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
    best = Stop(1.0, "its study has a trial that took 1 s")
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
