"""Variants that are tasks of their own, beside those that overlay a scale."""

from __future__ import annotations

from pathlib import Path

import pydantic
import pytest

import workloads
from scoring.ground.documents import ConfigError
from workloads.config import Definition, Scale, WorkloadId, read_definition
from workloads.errors import WorkloadError

TEXT = """version: 1
title: A family
metric: {name: validation/loss, goal: min}
scales:
  toy: &toy
    batch_size: 2
    evaluation_period: 10
    step_hint: 100
    provisional_budget: {steps: 400, seconds: 9.0}
    depth: 1
  laptop: {<<: *toy, batch_size: 4}
variants:
  deep: {depth: 8}
  other:
    metric: {name: validation/score, goal: max}
    scales:
      toy:
        batch_size: 3
        evaluation_period: 10
        step_hint: 100
        metric_window: 2
        provisional_budget: {steps: 400, seconds: 9.0}
        breadth: 5
"""


class Deep(Scale):
    depth: pydantic.PositiveInt


class Broad(Scale):
    breadth: pydantic.PositiveInt


def family(tmp_path: Path, text: str = TEXT) -> Definition:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.yaml").write_text(text)
    return read_definition(folder)


def test_a_task_exists_at_its_own_scales_alone(tmp_path: Path) -> None:
    found = family(tmp_path)
    assert found.ids() == [
        "mine-toy-v1",
        "mine-toy-v1+deep",
        "mine-toy-v1+other",
        "mine-laptop-v1",
        "mine-laptop-v1+deep",
    ]
    with pytest.raises(WorkloadError, match=r"variant 'other' has no scale 'laptop'; known: toy"):
        found.settings(WorkloadId("mine", "laptop", 1, "other"), Broad)


def test_a_tasks_settings_are_no_overlay(tmp_path: Path) -> None:
    found = family(tmp_path)
    assert found.settings(WorkloadId("mine", "toy", 1, "deep"), Deep).depth == 8
    own = found.settings(WorkloadId("mine", "toy", 1, "other"), Broad)
    assert (own.batch_size, own.breadth) == (3, 5)


def test_a_task_may_have_a_title_of_its_own(tmp_path: Path) -> None:
    text = TEXT.replace("  other:\n", "  other:\n    title: Another\n")
    found = family(tmp_path, text)
    titles = [found.title(WorkloadId.parse(id)) for id in found.ids()]
    assert titles == ["A family", "A family", "Another", "A family", "A family"]


def test_an_overlay_says_what_it_changes(tmp_path: Path) -> None:
    found = family(tmp_path, TEXT.replace("{depth: 8}", "{title: deeper, depth: 8}"))
    titles = [found.title(WorkloadId.parse(id)) for id in found.ids()]
    assert titles == ["A family", "A family: deeper", "A family", "A family", "A family: deeper"]
    assert found.settings(WorkloadId("mine", "toy", 1, "deep"), Deep).depth == 8


def test_an_overlay_may_be_for_some_scales_alone(tmp_path: Path) -> None:
    found = family(tmp_path, TEXT.replace("{depth: 8}", "{at: [laptop], depth: 8}"))
    assert "mine-toy-v1+deep" not in found.ids()
    assert found.settings(WorkloadId("mine", "laptop", 1, "deep"), Deep).depth == 8
    with pytest.raises(WorkloadError, match=r"variant 'deep' has no scale 'toy'; known: laptop"):
        found.settings(WorkloadId("mine", "toy", 1, "deep"), Deep)


def test_a_task_may_have_a_metric_of_its_own(tmp_path: Path) -> None:
    found = family(tmp_path)
    for variant, name, goal in (
        (None, "validation/loss", "min"),
        ("deep", "validation/loss", "min"),
        ("other", "validation/score_mean2", "max"),
    ):
        id = WorkloadId("mine", "toy", 1, variant)
        metric = found.metric(id, found.settings(id, Broad if variant == "other" else Deep))
        assert (metric.key, metric.goal) == (name, goal)
    text = TEXT.replace("    metric: {name: validation/score, goal: max}\n", "")
    folder = tmp_path / "same"
    folder.mkdir()
    id = WorkloadId("mine", "toy", 1, "other")
    same = family(folder, text)
    assert same.metric(id, same.settings(id, Broad)).name == "validation/loss"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("breadth: 5", "bredth: 5", "variants.other.scales.toy.bredth: unknown key; did you mean"),
        ("goal: max", "goal: up", "variants.other.metric.goal: 'up' is not one of"),
        ("      toy:\n", "      tiny:\n", "variants.other.scales.tiny"),
        ("{depth: 8}", "{title: 8, depth: 8}", "variants.deep.title: "),
        ("{depth: 8}", "{at: [tiny], depth: 8}", "variants.deep.at.0: 'tiny' is not one of"),
    ],
)
def test_an_error_in_a_variant_names_its_line(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    text = TEXT.replace(before, after)
    line = 1 + text[: text.index(after.strip())].count("\n")
    with pytest.raises(ConfigError) as told:
        family(tmp_path, text).settings(WorkloadId("mine", "toy", 1, "other"), Broad)
    assert message in str(told.value)
    assert f"config.yaml:{line}: " in str(told.value)


TARGET = """target: 0.5
budget: {steps: 40, seconds: 9.0}
reference: {torch: {submission: nadamw, hyperparameters: {lr: 0.1}}}
"""


def with_target(tmp_path: Path, name: str, text: str = TARGET) -> Definition:
    (tmp_path / "mine" / "targets").mkdir(parents=True)
    (tmp_path / "mine" / "targets" / name).write_text(text)
    (tmp_path / "mine" / "config.yaml").write_text(TEXT)
    return read_definition(tmp_path / "mine")


def test_a_target_is_read_from_the_file_of_its_race(tmp_path: Path) -> None:
    found = with_target(tmp_path, "toy+other.yaml")
    assert list(found.races) == ["toy+other"]
    assert found.races["toy+other"].budget.steps == 40
    id = WorkloadId("mine", "toy", 1, "other")
    assert found.procedure(id) is None
    log = tmp_path / "mine" / "targets" / "toy+other.procedure.json"
    log.write_text('{"winner": "nadamw"}')
    assert found.procedure(id) == {"winner": "nadamw"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("toy+othr.yaml", TARGET, r"toy\+othr\.yaml: mine has no race 'toy\+othr'; did you mean"),
        ("toy.yaml", TARGET + "goal: up\n", r"toy\.yaml:4: goal: unknown key"),
        (
            "toy.yaml",
            TARGET.replace("submission: nadamw", "submission: nadamw, data: 195e8122"),
            r"toy\.yaml:3: reference\.torch\.data: ",
        ),
    ],
)
def test_a_wrong_target_names_its_file(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_target(tmp_path, name, text)


def test_every_target_has_the_log_of_its_procedure_beside_it() -> None:
    raced = [workload for id in workloads.ids() if (workload := workloads.get(id)).race]
    assert raced
    for workload in raced:
        log = workloads.family(workload.id.family).procedure(workload.id)
        assert log is not None
        assert {"winner", "fresh", "hardware"} <= set(log)
