from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.spec import TrialSpec
from scoring.records import read_record, read_run
from suite.references import stored_path
from tests.suite.conftest import FakeCluster, race

Invoke = Callable[..., Any]


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
    told = [line for line in result.stderr.splitlines() if "taken from an earlier run" in line]
    assert told[0] == (
        "lm-toy-v2: taken from an earlier run on this hardware: reference-torch study 0"
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
    path = stored_path(Path("cache"), "digest-a", spec)
    assert read_record(path).header.seed == spec.seed
    other_source = dataclasses.replace(spec.source, sha256="0" * 64)
    assert spec.target is not None
    changed = [
        dataclasses.replace(spec, seed=spec.seed + 1),
        dataclasses.replace(spec, study=1),
        dataclasses.replace(spec, source=other_source),
        dataclasses.replace(spec, hyperparameters={**spec.hyperparameters, "lr": 1.0}),
        dataclasses.replace(spec, workload="homeostatic-toy-v2"),
        dataclasses.replace(spec, submission="reference-torch"),
        dataclasses.replace(spec, budget=dataclasses.replace(spec.budget, steps=1)),
        dataclasses.replace(spec, target=dataclasses.replace(spec.target, value=0.0)),
        dataclasses.replace(spec, clock="cpu"),
    ]
    paths = {stored_path(Path("cache"), "digest-a", other) for other in changed}
    assert len(paths) == len(changed)
    assert path not in paths
    elsewhere = dataclasses.replace(spec, run=Path("/elsewhere"))
    assert stored_path(Path("cache"), "digest-a", elsewhere) == path
