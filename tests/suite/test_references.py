from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import workloads
from cluster.spec import TrialSpec
from scoring.records import read_record, read_run
from suite.references import Shelf
from tests.suite.conftest import VERSIONS, FakeCluster, race

Invoke = Callable[..., Any]
BESIDE = len(os.sched_getaffinity(0))


def references(specs: list[TrialSpec]) -> list[TrialSpec]:
    return [spec for spec in specs if spec.submission.startswith("reference-")]


def race_twice(fake: FakeCluster, invoke: Invoke, *words: str) -> tuple[Any, list[TrialSpec]]:
    """The second run's result, and the reference trials that it trained itself."""
    invoke("run", "demo", "--clock", "wall", "-o", "first")
    fake.trained.clear()
    result = invoke("run", "demo", "--clock", "wall", "-o", "second", *words)
    return result, references(fake.trained)


def test_a_later_run_takes_the_references_of_an_earlier_one(
    fake: FakeCluster, invoke: Invoke
) -> None:
    result, trained = race_twice(fake, invoke, "-s", "sgd")
    assert result.exit_code == 0
    assert trained == []
    told = [line for line in result.stderr.splitlines() if "reused from an earlier run" in line]
    assert told[0] == (
        "lm-toy-v2: reused from an earlier run on this hardware: reference-torch study 0"
    )
    assert len(told) == 2
    record = "trials/lm-toy-v2/reference-torch/study0-trial0.jsonl"
    assert Path("second", record).read_bytes() == Path("first", record).read_bytes()
    assert "reference-torch" in result.stdout


@pytest.mark.parametrize("words", [("--seed", "1"), ("--clock", "cpu"), ("--clock", "steps")])
def test_a_trial_of_other_circumstances_is_raced_anew(
    words: tuple[str, ...], fake: FakeCluster, invoke: Invoke
) -> None:
    _, trained = race_twice(fake, invoke, *words)
    assert len(trained) == 4


def test_more_studies_race_only_what_is_new(fake: FakeCluster, invoke: Invoke) -> None:
    _, trained = race_twice(fake, invoke, "--studies", "2")
    assert {spec.study for spec in trained} == {1}
    assert len(trained) == 4


def test_a_new_target_or_other_hardware_races_anew(
    fake: FakeCluster, raced: dict[str, Any], invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cluster.hardware

    invoke("run", "demo", "--clock", "wall", "-o", "first")
    fake.trained.clear()
    raced["lm-toy-v2"] = race(target=2.25)
    invoke("run", "demo", "--clock", "wall", "-o", "second")
    assert {spec.workload for spec in references(fake.trained)} == {"lm-toy-v2"}
    fake.trained.clear()
    monkeypatch.setattr(
        cluster.hardware, "fingerprint", lambda resources: {"digest": "digest-b", "cores": 1}
    )
    invoke("run", "demo", "--clock", "wall", "-o", "third")
    assert len(references(fake.trained)) == 4


def test_data_that_were_made_anew_race_anew(
    fake: FakeCluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(workloads.get("lm-toy-v2"))
    monkeypatch.setattr(kind, "made_here_sha256", lambda self: fake.data)
    for folder, made, raced in (("one", "a", 4), ("two", "b", 2), ("three", "a", 0)):
        fake.data = made * 64
        fake.trained.clear()
        invoke("run", "demo", "--clock", "wall", "-o", folder)
        assert len(references(fake.trained)) == raced


@pytest.mark.parametrize(
    ("end", "kept"), [("reached", 4), ("budget", 4), ("diverged", 0), ("failed", 0)]
)
def test_only_whole_references_are_kept(
    end: str, kept: int, fake: FakeCluster, invoke: Invoke
) -> None:
    fake.end_of = lambda spec: end if spec.submission.startswith("reference-") else "reached"
    invoke("run", "demo", "--clock", "wall", "-o", "first")
    assert len(list(Path("cache/reference/digest-a").rglob("*.jsonl"))) == kept
    assert not list(Path("cache").rglob("*.tmp"))


def test_a_damaged_kept_record_is_raced_anew(fake: FakeCluster, invoke: Invoke) -> None:
    invoke("run", "demo", "--clock", "wall", "-o", "first")
    for path in Path("cache").rglob("*.jsonl"):
        path.write_text(path.read_text().splitlines()[0] + "\n")
    fake.trained.clear()
    invoke("run", "demo", "--clock", "wall", "-o", "second")
    assert len(references(fake.trained)) == 4


def test_another_ruleset_takes_the_same_references(fake: FakeCluster, invoke: Invoke) -> None:
    invoke("run", "toy", "--clock", "wall", "-o", "first", "-s", "adamw")
    fake.trained.clear()
    invoke("run", "demo", "--clock", "wall", "-o", "second", "-s", "sgd", "-w", "lm-toy-v2")
    assert {spec.submission for spec in fake.trained} == {"sgd"}
    assert read_run(Path("second"))[-1].header.ruleset == "self"


def test_a_cluster_elsewhere_takes_nothing_from_here(fake: FakeCluster, invoke: Invoke) -> None:
    _, trained = race_twice(fake, invoke, "--address", "auto")
    assert len(trained) == 4


def test_an_unwritable_cache_stops_no_run(
    fake: FakeCluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").write_text("")
    monkeypatch.setenv("GRADATHLON_CACHE", "file/cache")
    assert invoke("run", "demo", "--clock", "wall", "-o", "first").exit_code == 0


def test_all_that_decides_a_trial_decides_where_it_is_kept(
    fake: FakeCluster, invoke: Invoke
) -> None:
    invoke("run", "demo", "--clock", "wall", "-o", "first")
    spec = references(fake.asked)[0]
    shelf = Shelf(Path("cache"), "digest-a", BESIDE, VERSIONS)
    path = shelf.stem(spec)
    (kept,) = path.parent.glob(f"{path.name}-*.jsonl")
    assert read_record(kept).header.seed == spec.seed
    other_source = dataclasses.replace(spec.source, sha256="0" * 64)
    assert spec.target is not None
    changed = [
        dataclasses.replace(spec, seed=spec.seed + 1),
        dataclasses.replace(spec, study=1),
        dataclasses.replace(spec, source=other_source),
        dataclasses.replace(spec, hyperparameters={**spec.hyperparameters, "lr": 1.0}),
        dataclasses.replace(spec, workload="homeostatic-toy-v3"),
        dataclasses.replace(spec, submission="reference-torch"),
        dataclasses.replace(spec, budget=dataclasses.replace(spec.budget, steps=1)),
        dataclasses.replace(spec, target=dataclasses.replace(spec.target, value=0.0)),
        dataclasses.replace(spec, clock="cpu"),
    ]
    paths = {shelf.stem(other) for other in changed}
    shelves = [
        dataclasses.replace(shelf, beside=shelf.beside + 1),
        dataclasses.replace(shelf, versions={**VERSIONS, "torch": "9"}),
        dataclasses.replace(shelf, versions={**VERSIONS, "commit": "another"}),
        dataclasses.replace(shelf, hardware="digest-b"),
    ]
    paths |= {other.stem(spec) for other in shelves}
    assert len(paths) == len(changed) + len(shelves)
    assert path not in paths
    elsewhere = dataclasses.replace(spec, run=Path("/elsewhere"))
    assert shelf.stem(elsewhere) == path


@pytest.mark.parametrize("change", [1.04, 0.96])
def test_what_still_takes_as_long_is_taken(
    change: float, fake: FakeCluster, invoke: Invoke
) -> None:
    fake.step_s = 0.05 * change
    _, trained = race_twice(fake, invoke)
    assert trained == []
    assert {beside for _, beside in fake.paced} == {BESIDE}
    assert len(fake.paced) == 4


@pytest.mark.parametrize(
    ("step_s", "told"),
    [
        (0.055, "a step now takes 55 ms, +10 % since it was recorded"),
        (0.04, "a step now takes 40 ms, -20 % since it was recorded"),
        (None, "its current step time could not be measured"),
    ],
)
def test_what_has_drifted_is_told_and_raced_anew(
    step_s: float | None, told: str, fake: FakeCluster, invoke: Invoke
) -> None:
    fake.step_s = step_s
    result, trained = race_twice(fake, invoke)
    assert len(trained) == 4
    lines = [line.partition(": ")[2] for line in result.stderr.splitlines()]
    assert lines.count(f"reference-torch is raced again: {told}") == 2


@pytest.mark.parametrize(
    "busy",
    [{"cpu_s": 4.8}, {"extra": {"step_s_unsteady": True}}, {"extra": {"doubt": "of it"}}],
)
def test_only_what_was_raced_quietly_is_kept(
    busy: dict[str, Any], fake: FakeCluster, invoke: Invoke
) -> None:
    for name, value in busy.items():
        setattr(fake, name, value)
    _, trained = race_twice(fake, invoke)
    assert len(trained) == 4


def test_a_kept_record_that_was_changed_or_lies_elsewhere_is_raced_anew(
    fake: FakeCluster, invoke: Invoke
) -> None:
    invoke("run", "demo", "--clock", "wall", "-o", "first")
    one, other, *rest = sorted(Path("cache").rglob("*.jsonl"))
    one.write_text(one.read_text().replace('"wall_s": 5.0', '"wall_s": 9.0'))
    other.rename(other.with_name(rest[0].name))  # another's record under its name
    fake.trained.clear()
    invoke("run", "demo", "--clock", "wall", "-o", "second")
    assert len(references(fake.trained)) >= 2


def test_edited_code_keeps_nothing(
    fake: FakeCluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cluster.hardware

    dirty = {**VERSIONS, "commit": "0123456789ab-dirty"}
    monkeypatch.setattr(cluster.hardware, "versions", lambda: dirty)
    _, trained = race_twice(fake, invoke)
    assert len(trained) == 4
    assert not list(Path("cache").rglob("*.jsonl"))
