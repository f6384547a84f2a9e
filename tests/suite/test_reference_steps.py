"""The reference's steps to targets, which ship with these."""

from __future__ import annotations

import json
import math
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import workloads
from scoring.ground.documents import read_yaml
from suite.targets import reference
from tests.workloads.at_hand import workload_at_hand
from workloads.config import Race
from workloads.errors import WorkloadError

Invoke = Callable[..., Any]
HERE = "5" * 64
SHIPPED = [
    id
    for id in workloads.ids()
    if (race := workloads.get(id).race) and any(one.steps for one in race.reference.values())
]


@pytest.mark.parametrize("id", SHIPPED)
def test_what_ships_is_what_the_log_holds(id: str) -> None:
    race = workloads.get(id).race
    assert race is not None
    logged = reference.logged_steps(id)
    shipped = {
        name: reference.Measured(one.steps, one.data)
        for name, one in race.reference.items()
        if one.steps
    }
    assert shipped == logged
    for steps in (one.steps for one in logged.values()):
        # What takes up to four times the reference's median scores something.
        assert 4 <= race.budget.steps / statistics.median(steps) < 7


@pytest.mark.network
@pytest.mark.parametrize("id", SHIPPED)
def test_where_all_machines_have_the_same_data_the_shipped_steps_are_of_these(id: str) -> None:
    workload = workload_at_hand(id)
    assert workload.race is not None
    if workload.made_here_sha256() is None:
        of = {one.data for one in workload.race.reference.values() if one.steps}
        assert of == {workload.data_sha256()}


def test_the_command_prints_a_line_a_framework(invoke: Invoke) -> None:
    result = invoke("reference-steps", "lm-toy-v2")
    assert result.exit_code == 0
    names, counts = zip(*(line.rsplit("\t", 1) for line in result.stdout.splitlines()), strict=True)
    race = workloads.get("lm-toy-v2").race
    assert race is not None
    told = {f"lm-toy-v2\t{name}": one.steps for name, one in race.reference.items() if one.steps}
    assert names == tuple(told)
    assert [list(map(float, one.split())) for one in counts] == list(told.values())


def test_seeds_that_missed_stand_in_the_line(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"jax": reference.Measured([700.0, math.inf])}
    monkeypatch.setattr(reference, "measure", lambda *_: (found, {}))
    result = invoke("reference-steps", "lm-toy-v2", "--measure")
    assert (result.exit_code, result.stdout) == (0, "lm-toy-v2\tjax\t700.0 missed\n")
    result = invoke("reference-steps", "lm-toy-v2", "--measure", "--adopt")
    assert (result.exit_code, result.stdout) == (2, "lm-toy-v2\tjax\t700.0 missed\n")
    assert "not adopted" in result.stderr


@pytest.mark.parametrize("ids", [["lm-toy-v2"], ["lm-toy-v2", "lm-toy-v9"]])
def test_what_cannot_be_is_told_before_anything_is_raced(
    ids: list[str], invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(id: object) -> Path:
        raise WorkloadError("--adopt: it is an installed package")

    monkeypatch.setattr(reference, "measure", lambda *_: pytest.fail("it races"))
    if len(ids) == 1:
        monkeypatch.setattr(reference, "adopted_folder", installed)
    result = invoke("reference-steps", *ids, "--measure", "--adopt")
    assert result.exit_code == 2
    assert "installed package" in result.stderr or "lm-toy-v9" in result.stderr


@pytest.mark.parametrize("words", [["--seeds", "3"], ["--framework", "torch"]])
def test_options_of_a_measurement_go_with_one(words: list[str], invoke: Invoke) -> None:
    result = invoke("reference-steps", "lm-toy-v2", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "need --measure; add it" in result.stderr


def test_a_log_of_another_version_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    family = workloads.family("lm")
    log = dict(family.procedure(workloads.get("lm-toy-v2").id) or {})
    log.pop(reference.MEASURED, None)
    log["command"] = "gradathlon set-targets lm-toy-v0"
    monkeypatch.setattr(type(family), "procedure", lambda self, id: log)
    with pytest.raises(WorkloadError, match=r"another version .*lm-toy-v0.*--measure"):
        reference.logged_steps("lm-toy-v2")


def test_adopting_keeps_the_target_its_remark_and_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(workloads.family("lm").path).parent / "targets"
    mine = tmp_path / "targets"
    shutil.copytree(folder, mine)
    text = (mine / "toy.yaml").read_text()
    (mine / "toy.yaml").write_text("# Why.\n" + text)
    monkeypatch.setattr(reference, "adopted_folder", lambda id: mine)
    steps = {"torch": reference.Measured([900.0, 902.5], HERE), "jax": reference.Measured([710.0])}
    reference.adopt("lm-toy-v2", steps, {"workload": "lm-toy-v2"})
    changed = (mine / "toy.yaml").read_text()
    assert changed.startswith(f"# Why.\n{text.splitlines()[0]}\n") and "target: " in changed
    assert "steps: [900.0, 902.5]" in changed and "steps: [710.0]" in changed
    assert "budget: {steps: 3605," in changed, "four times the slower median"
    assert (changed.count(HERE), changed.count("data:")) == (1, 1)
    log = json.loads((mine / "toy.procedure.json").read_text())
    assert log["reference_steps"]["steps"] == {"torch": [900.0, 902.5], "jax": [710.0]}
    assert log["reference_steps"]["data_sha256"] == {"torch": HERE, "jax": ""}
    assert log["fresh"]["nadamw_jax"]["steps"]


def test_of_ten_seeds_one_may_miss_and_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(Path(workloads.family("lm").path).parent / "targets" / "toy.yaml", tmp_path)
    monkeypatch.setattr(reference, "adopted_folder", lambda id: tmp_path)
    found = [600.0 + seed for seed in range(9)]
    for steps in ([*found, math.inf], [*found[:-1], math.inf, math.inf]):
        measured = {"jax": reference.Measured(steps, HERE)}
        if steps.count(math.inf) == 1:
            reference.adopt("lm-toy-v2", measured, {"workload": "lm-toy-v2"})
        else:
            with pytest.raises(WorkloadError, match="missed the target on 2 of 10 fresh seeds"):
                reference.adopt("lm-toy-v2", measured, {"workload": "lm-toy-v2"})
    assert read_yaml(tmp_path / "toy.yaml", Race).reference["jax"].steps == found
    log = json.loads((tmp_path / "toy.procedure.json").read_text())
    assert log["reference_steps"]["steps"]["jax"] == found


def test_adopting_one_framework_keeps_the_other_s_steps_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    id, family = workloads.get("lm-toy-v2").id, workloads.family("lm")
    log = dict(family.procedure(id) or {})
    log.pop(reference.MEASURED, None)  # only what the procedure itself noted
    monkeypatch.setattr(type(family), "procedure", lambda self, id: log)
    monkeypatch.setattr(reference, "adopted_folder", lambda id: tmp_path)
    shutil.copy(family.path.parent / "targets" / "toy.yaml", tmp_path)
    before = log["data_sha256"]
    one = {"torch": reference.Measured([1.5], HERE)}
    reference.adopt("lm-toy-v2", one, {"workload": "lm-toy-v2"})
    kept = json.loads((tmp_path / "toy.procedure.json").read_text())["reference_steps"]
    assert kept["steps"] == {"torch": [1.5], "jax": log["fresh"]["nadamw_jax"]["steps"]}
    assert kept["data_sha256"] == {"torch": HERE, "jax": before}
    shipped = read_yaml(tmp_path / "toy.yaml", Race).reference
    assert {name: one.data for name, one in shipped.items()} == {"torch": HERE, "jax": before}
