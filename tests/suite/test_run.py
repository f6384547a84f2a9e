from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import workloads
from cluster.run_lock import drive, is_driven
from cluster.spec import TrialSpec
from scoring import board
from scoring.records import read_run
from submissions.templates import template
from tests.suite.conftest import REFERENCES, FakeCluster, race

Invoke = Callable[..., Any]


def run_demo(invoke: Invoke, *words: str) -> Any:
    return invoke("run", "demo", "-o", "out", *words)


def test_a_run_ends_in_a_leaderboard_on_stdout(fake: FakeCluster, invoke: Invoke) -> None:
    result = run_demo(invoke)
    assert result.exit_code == 0
    for name in ("adamw", "adamw_jax", "prodigy", "reference-torch", "reference-jax"):
        assert name in result.stdout
    assert "start lm-toy-v2 adamw study 0 trial 0" in result.stderr
    assert "[14/14]" in result.stderr
    assert "report: out/report.html" in result.stderr
    assert "</html>" in Path("out/report.html").read_text()
    assert len(read_run(Path("out"))) == 14
    assert fake.executors == [("ray", None, None)]


def test_where_and_how_many_at_once_is_handed_on(fake: FakeCluster, invoke: Invoke) -> None:
    run_demo(invoke, "--executor", "in-process")
    invoke("run", "demo", "-o", "other", "--address", "auto", "--at-once", "2")
    assert fake.executors == [("in_process", None, None), ("ray", "auto", 2)]


def test_the_default_folder_is_named_after_the_suite(fake: FakeCluster, invoke: Invoke) -> None:
    assert invoke("run", "demo").exit_code == 0
    (folder,) = Path("runs").iterdir()
    assert folder.name.startswith("demo-2")
    assert (folder / "run.yaml").exists()


def test_run_yaml_tells_all_that_was_decided(fake: FakeCluster, invoke: Invoke) -> None:
    run_demo(invoke, "-s", "adamw", "--seed", "5")
    kept = yaml.safe_load(Path("out/run.yaml").read_text())
    assert kept["suite"]["seed"] == 5
    assert kept["suite"]["submissions"] == ["adamw"]
    assert kept["hardware"]["digest"] == "digest-a"
    assert kept["versions"]["gradathlon"]
    assert kept["workloads"]["lm-toy-v2"]["target"]["value"] == 2.5
    assert kept["submissions"]["adamw"]["points"][0][0]["lr"] > 0
    assert (
        Path("out/submissions/adamw.py").read_text()
        == Path(kept["texts"]["adamw.py"]["origin"]).expanduser().read_text()
    )


def test_a_dry_run_prints_the_plan_and_writes_nothing(fake: FakeCluster, invoke: Invoke) -> None:
    result = run_demo(invoke, "--dry-run")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 15
    assert result.stdout.splitlines()[0].split()[:2] == ["workload", "submission"]
    assert not Path("out").exists()
    assert not fake.asked


@pytest.mark.parametrize(
    ("clock", "budget"), [("steps", "160 steps  "), ("wall", "160 steps / 8 s  ")]
)
def test_a_dry_run_tells_what_limits_a_trial_on_its_clock(
    clock: str, budget: str, fake: FakeCluster, invoke: Invoke
) -> None:
    result = run_demo(invoke, "-w", "lm-toy-v2", "--clock", clock, "--dry-run")
    assert budget in result.stdout


def test_failed_trials_are_told_and_make_exit_code_1(fake: FakeCluster, invoke: Invoke) -> None:
    fake.end_of = lambda spec: "failed" if spec.submission == "prodigy_jax" else "reached"
    result = run_demo(invoke, "-w", "lm-toy-v2")
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("failed: ")]
    assert line.startswith("failed: lm-toy-v2 prodigy_jax study 0 trial 0: asked (")
    assert line.endswith("out/trials/lm-toy-v2/prodigy_jax/study0-trial0.jsonl)")
    assert "adamw" in result.stdout


@pytest.mark.parametrize("end", ["budget", "diverged"])
def test_a_missed_target_is_no_failure(end: str, fake: FakeCluster, invoke: Invoke) -> None:
    fake.end_of = lambda spec: "reached" if "reference" in spec.submission else end
    assert run_demo(invoke).exit_code == 0


def test_without_references_the_records_are_kept_all_the_same(
    fake: FakeCluster, invoke: Invoke
) -> None:
    result = run_demo(invoke, "--no-reference", "--clock", "wall", "-s", "adamw")
    assert result.exit_code == 0
    assert "no leaderboard: " in result.stderr
    assert {spec.submission for spec in fake.asked} == {"adamw"}


def test_a_used_folder_is_refused(fake: FakeCluster, invoke: Invoke) -> None:
    run_demo(invoke)
    result = run_demo(invoke)
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "gradathlon: error: out: already holds a run; resume it with: gradathlon run --resume -o "
        "out, or choose another folder with -o"
    ]


def test_an_unwritable_folder_is_one_line(fake: FakeCluster, invoke: Invoke) -> None:
    Path("file").write_text("")
    result = invoke("run", "demo", "-o", "file/out")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "gradathlon: error: file/out: cannot be used as a run folder: "
        "Not a directory; choose another"
    ]


def test_ctrl_c_tells_how_to_go_on_and_resuming_does(fake: FakeCluster, invoke: Invoke) -> None:
    def stop(spec: TrialSpec) -> None:
        if len(fake.trained) == 5:
            raise KeyboardInterrupt

    fake.before = stop
    result = run_demo(invoke)
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == (
        "stopped; resume with: gradathlon run --resume -o out"
    )
    asked = fake.asked
    fake.before = lambda spec: None
    assert invoke("run", "--resume", "-o", "out").exit_code == 0
    assert fake.asked == asked
    assert len(fake.trained) == 14


def test_the_line_to_go_on_by_races_as_the_run_was_raced(fake: FakeCluster, invoke: Invoke) -> None:
    def stop(spec: TrialSpec) -> None:
        raise KeyboardInterrupt

    fake.before = stop
    words = ("--executor", "in-process", "--no-prune", "--at-once", "1")
    result = run_demo(invoke, *words)
    (line,) = [one for one in result.stderr.splitlines() if one.startswith("stopped; ")]
    again = line.partition("resume with: gradathlon ")[2].split()
    assert again == ["run", "--resume", "-o", "out", *words]
    fake.before = lambda spec: None
    fake.end_of = lambda spec: "failed"
    result = invoke(*again)
    assert fake.executors == [("in_process", None, 1)] * 2
    failed = ["run", "--resume", "--retry-failed", "-o", "out", *words]
    assert f"retry only those with: gradathlon {' '.join(failed)}" in result.stderr


@pytest.mark.parametrize("still", [True, False], ids=["races", "raced"])
def test_a_run_that_another_driver_begins_at_the_same_moment_is_left_alone(
    still: bool, fake: FakeCluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.ExitStack() as other:

        def begin(*_: object) -> None:
            with contextlib.ExitStack() as held:
                (other if still else held).enter_context(drive(Path("out")))
                if not still:
                    Path("out/run.yaml").write_text("the other's")

        monkeypatch.setattr("suite.run._fetch_data", begin)
        result = run_demo(invoke)
        assert result.exit_code == 2
        assert ("is already racing this run" if still else "already holds a run") in result.stderr
        left = ["driver.lock"] if still else ["run.yaml"]
        assert [path.name for path in Path("out").iterdir()] == left


def test_its_folder_is_held_from_its_references_on(
    fake: FakeCluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in holds nothing while it races."""
    held: list[bool] = []
    monkeypatch.setattr(
        "suite.references.reuse", lambda *_: held.append(is_driven(Path("out"))) or []
    )
    fake.before = lambda spec: held.append(is_driven(Path("out")))
    assert run_demo(invoke).exit_code == 0
    assert len(held) > 10 and all(held)
    assert not is_driven(Path("out"))


def test_who_resumes_a_run_that_is_raced_touches_nothing(
    fake: FakeCluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_demo(invoke)
    monkeypatch.setattr("suite.references.reuse", lambda *_: pytest.fail("measures on its cores"))
    with drive(Path("out")):
        assert run_demo(invoke, "--resume").exit_code == 2


def test_a_resumed_run_goes_on_as_planned_whatever_has_changed_since(
    fake: FakeCluster, raced: dict[str, Any], invoke: Invoke, tmp_path: Path
) -> None:
    mine = tmp_path / "my_opt.py"
    mine.write_text("def submission(params, lr=0.1): ...\n")
    run_demo(invoke, "-s", "my_opt.py")
    asked = fake.asked
    mine.write_text("def submission(params, lr=0.2): ...\n")
    raced["lm-toy-v2"] = race(target=9.0)
    assert run_demo(invoke, "--resume").exit_code == 0
    assert [without_origin(spec) for spec in fake.asked] == [without_origin(s) for s in asked]


def without_origin(spec: TrialSpec) -> TrialSpec:
    return dataclasses.replace(spec, source=dataclasses.replace(spec.source, origin=""))


def test_a_run_resumed_from_elsewhere_knows_where_its_submissions_are(
    fake: FakeCluster, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "def submission(params, lr=0.1): ...\n"
    folder = tmp_path / "there"
    folder.mkdir()
    for mine in (tmp_path / "my_opt.py", folder / "my_opt.py"):  # of which one is another's
        mine.write_text(text)
    run_demo(invoke, "-s", "./my_opt.py")
    monkeypatch.chdir(folder)
    assert invoke("run", "--resume", "-o", "../out").exit_code == 0
    origins = {spec.source.origin for spec in fake.asked if spec.submission == "my_opt"}
    assert origins == {str(tmp_path / "my_opt.py")}


def test_a_run_that_is_shown_to_others_does_not_name_its_user(
    fake: FakeCluster, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    mine = tmp_path / "my_opt.py"
    mine.write_text("def submission(params, lr=0.1): ...\n")
    run_demo(invoke, "-s", str(mine))
    kept = Path("out/run.yaml").read_text()
    assert "origin: ~/my_opt.py" in kept
    assert str(tmp_path) not in kept
    assert run_demo(invoke, "--resume").exit_code == 0
    assert {s.source.origin for s in fake.asked if s.submission == "my_opt"} == {str(mine)}


def test_a_kept_text_that_was_edited_is_refused(fake: FakeCluster, invoke: Invoke) -> None:
    run_demo(invoke, "-s", "adamw")
    with Path("out/submissions/adamw.py").open("a") as file:
        file.write("\n# edited\n")
    result = run_demo(invoke, "--resume")
    assert result.exit_code == 2
    assert "out/submissions/adamw.py: changed since the run began" in result.stderr


CONFLICTS = {
    "--seed": (["--seed", "3"], "--seed 3: the run in out was started with 0;"),
    "--studies": (["--studies", "2"], "--studies 2: the run in out was started with 1;"),
    "--clock": (["--clock", "steps"], "--clock steps: the run in out was started with paired;"),
    "-s": (["-s", "sgd"], "-s sgd: the run in out was started with adamw, prodigy;"),
    "-w": (
        ["-w", "lm-toy-v2"],
        "-w lm-toy-v2: the run in out was started with homeostatic-toy-v3, lm-toy-v2;",
    ),
    "--no-reference": (
        ["--no-reference"],
        "--no-reference: the run in out was planned with references; leave it out, or start",
    ),
}


@pytest.mark.parametrize(
    "words", [["run", "demo"], ["tune", "adamw", "lm-toy-v2"], ["set-targets", "lm-toy-v2"]]
)
def test_a_race_is_in_this_process_or_on_a_cluster(words: list[str], invoke: Invoke) -> None:
    for options in (
        ["--executor", "in-process", "--address", "auto"],
        ["--address", "auto", "--executor", "in-process"],
    ):
        result = invoke(*words, *options)
        assert result.exit_code == 2
        assert "--address on a cluster; leave one out" in result.stderr


@pytest.mark.parametrize("flag", CONFLICTS)
def test_flags_that_conflict_with_the_run_are_refused(
    flag: str, fake: FakeCluster, invoke: Invoke
) -> None:
    words, message = CONFLICTS[flag]
    run_demo(invoke, "-s", "adamw", "-s", "prodigy")
    result = run_demo(invoke, "--resume", *words)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"gradathlon: error: {message}")


def test_flags_that_repeat_the_run_are_taken(fake: FakeCluster, invoke: Invoke) -> None:
    words = ("-s", "prodigy", "-s", "adamw", "-s", "adamw", "--seed", "4", "--clock", "cpu")
    assert run_demo(invoke, *words).exit_code == 0
    assert run_demo(invoke, "--resume", *words).exit_code == 0


def test_another_suite_conflicts_with_the_run(fake: FakeCluster, invoke: Invoke) -> None:
    run_demo(invoke)
    result = invoke("run", "ci", "-o", "out", "--resume")
    assert result.exit_code == 2
    assert "the suite ci: the run in out was started with demo" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run"], "name a suite: one of ci, data-selection, demo"),
        (["run", "demo", "--race-reference", "--no-reference"], "--race-reference and --no-"),
        (["run", "dmeo"], "unknown suite 'dmeo'; did you mean 'demo'?"),
        (["run", "demo", "-s", "prodigi"], "unknown submission 'prodigi'; did you mean 'prodigy'?"),
        (["run", "demo", "-w", "lm-toy-v3"], "workload 'lm-toy-v3': this Gradathlon has version 2"),
        (["run", "demo", "-w", "ml-toy-v1"], "unknown workload 'ml-toy-v1'; did you mean"),
        (["run", "demo", "--trials", "3"], "--trials 3: suite 'demo': self tuning has one trial"),
        (["run", "--resume"], "--resume needs the run's folder"),
        (["run", "--resume", "-o", "none"], "none: no run to resume: it has no run.yaml"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    words: list[str], message: str, fake: FakeCluster, invoke: Invoke
) -> None:
    result = invoke(*words)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"gradathlon: error: {message}")
    assert result.stdout == ""


def test_a_damaged_run_yaml_names_its_line(fake: FakeCluster, invoke: Invoke) -> None:
    run_demo(invoke)
    path = Path("out/run.yaml")
    path.write_text(path.read_text().replace("format: 1", "format: 2"))
    result = run_demo(invoke, "--resume")
    assert result.exit_code == 2
    assert result.stderr.startswith("gradathlon: error: out/run.yaml:1: format: ")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("studies: 1", "studies: 2", "submissions.adamw: points on lm-toy-v2 of 1 studies, but"),
        ("file: adamw.py", "file: gone.py", "submissions.adamw.file: gone.py is not among the"),
    ],
)
def test_a_plan_whose_parts_do_not_fit_is_one_line(
    old: str, new: str, said: str, fake: FakeCluster, invoke: Invoke
) -> None:
    words = ("-s", "adamw", "-w", "lm-toy-v2", "--studies", "1", "--trials", "1")
    assert invoke("run", "demo", *words, "-o", "out").exit_code == 0
    path = Path("out/run.yaml")
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    for command in (["run", "--resume", "-o", "out"], ["watch", "out", "--once"]):
        result = invoke(*command)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert f"out/run.yaml: {said}" in result.stderr


def test_an_unexpected_error_keeps_its_traceback(fake: FakeCluster, invoke: Invoke) -> None:
    def broken(spec: TrialSpec) -> None:
        raise ZeroDivisionError

    fake.before = broken
    with pytest.raises(ZeroDivisionError):
        run_demo(invoke)


def test_stdout_is_data_alone(fake: FakeCluster, invoke: Invoke) -> None:
    run_demo(invoke)
    result = invoke("score", "out", "--format", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)


def test_shipped_steps_are_yardstick_enough_and_a_raced_reference_is_told_apart(
    fake: FakeCluster, raced: dict[str, Any], invoke: Invoke
) -> None:
    """Every made-up trial takes 90 reference steps."""
    shipped = {
        name: one.model_copy(update={"steps": [60, 60, 60, 61, 59, 62, 58, 60, 60, 60]})
        for name, one in REFERENCES.items()
    }
    raced["lm-toy-v2"] = race(reference=shipped)
    words = ("run", "demo", "-w", "lm-toy-v2", "-s", "adamw", "--studies", "8")
    result = invoke(*words, "-o", "out")
    assert result.exit_code == 0
    assert {spec.submission for spec in fake.trained} == {"adamw"}
    adamw = board.compute([Path("out")]).rows[0]
    assert (adamw.submission, adamw.cells["lm-toy-v2"].ratio) == ("adamw", 1.5)
    assert adamw.interval is not None
    refused = invoke("run", "--resume", "-o", "out", "--race-reference")
    assert refused.exit_code == 2
    assert "--race-reference: the run in out was planned without racing them" in refused.stderr

    invoke(*words, "--race-reference", "-o", "again")
    assert invoke("run", "--resume", "-o", "again", "--race-reference").exit_code == 0
    both = board.compute([Path("again")])
    assert {row.submission for row in both.rows} == {"adamw", "reference-torch"}
    assert both.rows[0].cells["lm-toy-v2"].ratio == 1.5
    told = [note for note in both.notes if "on lm-toy-v2 took 90" in note]
    assert len(told) == 1 and "60 as shipped" in told[0]


def test_where_this_machine_made_other_data_the_reference_is_raced_told_and_compared_to(
    fake: FakeCluster, raced: dict[str, Any], invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial takes 90 reference steps, and 60 where the shipped ones were measured."""
    fake.data, elsewhere = "a" * 64, "b" * 64
    kind = type(workloads.get("lm-toy-v2"))
    monkeypatch.setattr(kind, "made_here_sha256", lambda self: fake.data)
    shipped = {
        name: one.model_copy(update={"steps": [60.0] * 5, "data": elsewhere})
        for name, one in REFERENCES.items()
    }
    raced["lm-toy-v2"] = race(reference=shipped)
    words = ("run", "demo", "-w", "lm-toy-v2", "-s", "adamw", "--studies", "2")
    told = "lm-toy-v2: its shipped reference steps were measured on other data (bbbbbbbbbbbb; "
    dry = invoke(*words, "--dry-run")
    assert (dry.stderr.count(told), dry.stdout.count("reference-torch")) == (1, 2)
    result = invoke(*words, "-o", "out")
    assert (result.exit_code, result.stderr.count(told)) == (0, 1)
    assert {spec.submission for spec in fake.trained} == {"adamw", "reference-torch"}
    (adamw,) = (row for row in board.compute([Path("out")]).rows if row.submission == "adamw")
    assert adamw.cells["lm-toy-v2"].ratio == 1.0

    # Data of the same kind that were made anew since the plan: nothing is compared to the others'.
    fake.data = elsewhere
    invoke(*words, "-o", "planned")
    assert {spec.submission for spec in fake.trained[4:]} == {"adamw"}
    for path in Path("planned/trials").rglob("*.jsonl"):
        path.write_text(path.read_text().replace(elsewhere, "a" * 64))
    refused = invoke("score", "planned")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "other data" in refused.stderr and "--race-reference" in refused.stderr


def test_a_submission_that_is_a_folder_is_the_runs_when_it_is_named_again(
    fake: FakeCluster, invoke: Invoke
) -> None:
    Path("mine").mkdir()
    Path("mine/submission.py").write_text(template("torch"))
    run_demo(invoke, "-s", "./mine")
    assert run_demo(invoke, "--resume", "-s", "./mine").exit_code == 0
