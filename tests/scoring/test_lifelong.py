"""The measures of lifelong learning: by hand, and against l2metrics' own results."""

from __future__ import annotations

import csv
import dataclasses
import errno
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from scoring.ground.documents import ConfigError
from scoring.ground.words import TrialKey
from scoring.records import read_record, record_path
from suite.cli import main
from tests.scoring import lifelong_logs
from tests.scoring.lifelong_logs import DATA
from workloads.lifelong.grounds import grounded
from workloads.lifelong.l2log import export
from workloads.lifelong.measures import Evaluating, Learning, alone, measure, scenario, smooth


@pytest.mark.parametrize("name", ["trial", "visits"])
def test_measures_are_those_of_l2metrics(name: str) -> None:
    found = measure(*getattr(lifelong_logs, name)())
    expected = json.loads((DATA / f"{name}.json").read_text())
    assert found.lifetime() == pytest.approx(expected["lifetime"], rel=1e-6, abs=1e-9)
    for measured, values in dataclasses.asdict(found).items():
        pairs = "transfer" in measured
        theirs = {
            task if not pairs else f"{task}->{other}": value[0] if pairs else value
            for task, by in expected["tasks"].items()
            for other, value in (by[measured].items() if pairs else [("", by[measured])])
            if value == value and value is not None
        }
        assert values == pytest.approx(theirs, rel=1e-6), measured


def test_measures_by_hand() -> None:
    # Scaled: 100 x + 1.
    found = measure(
        (
            Evaluating({"task00": 0.09, "task01": 0.19}, 200),
            Learning("task00", (0.5, 0.89)),
            Evaluating({"task00": 0.79, "task01": 0.39}, 200),
            Learning("task01", (0.99,)),
            Evaluating({"task00": 0.39, "task01": 0.99}, 200),
        ),
        [(0.24, 0.49, 0.89)],
    )
    assert found.perf_maintenance_mrlep == {"task00": pytest.approx(40 - 80)}
    assert found.perf_maintenance_mrtlp == {"task00": pytest.approx(40 - 90)}
    assert found.forward_transfer_ratio == {"task00->task01": pytest.approx(2)}
    assert found.forward_transfer_contrast == {"task00->task01": pytest.approx(1 / 3)}
    assert found.backward_transfer_ratio == {"task01->task00": pytest.approx(0.5)}
    assert found.ste_rel_perf == pytest.approx({"task00": 141 / 75, "task01": 100 / 25})
    assert found.sample_efficiency == {"task00": pytest.approx(2)}
    assert found.lifetime()["backward_transfer_contrast"] == pytest.approx(-1 / 3)


def test_without_an_expert_there_is_nothing_to_compare_with() -> None:
    found = measure(lifelong_logs.visits()[0])
    assert found.lifetime()["sample_efficiency"] is None
    assert found.ste_rel_perf == {}


@pytest.mark.parametrize("count", [1, 14, 15, 20, 33, 700])
def test_smoothing_keeps_length_and_level(count: int) -> None:
    assert smooth(np.full(count, 0.7)) == pytest.approx([0.7] * count)
    rising = np.arange(count, dtype=np.float64)
    assert (smooth(rising) == rising).all() == (count < 15)


def test_a_scenario_has_a_block_a_turn_and_an_evaluation_after_each() -> None:
    record = read_record(DATA / "all.jsonl")
    found = scenario(record)
    learnt = [block.task for block in found if isinstance(block, Learning)]
    line = [f"task{event.details['task']:02}" for event in record.events if event.name == "task"]
    assert learnt == line
    assert len(set(learnt)) == 10
    assert [type(block) for block in found] == [Evaluating, *[Learning, Evaluating] * len(line)]
    evaluated = [block for block in found if isinstance(block, Evaluating)]
    assert {len(block.accuracy) for block in evaluated} == {10}
    assert {block.images for block in evaluated} == {200}


def test_a_scenario_ends_where_the_last_task_was_mastered() -> None:
    record = read_record(DATA / "all.jsonl")
    found = scenario(record)
    last = max(event.details["at"] for event in record.events if event.name == "mastered")
    assert last < record.evaluations[-1].steps
    (seen,) = [line.metrics for line in record.evaluations if line.steps == last]
    assert isinstance(found[-1], Evaluating)
    assert found[-1].accuracy == {task: seen[f"{task}/accuracy"] for task in found[-1].accuracy}
    told = [event for event in record.events if event.name == "learning"]
    until = [len(event.details["accuracy"]) for event in told if event.details["at"] <= last]
    blocks = [len(block.accuracy) for block in found if isinstance(block, Learning)]
    assert sum(blocks) == sum(until) < sum(len(event.details["accuracy"]) for event in told)


def test_an_expert_is_cut_at_its_mastery() -> None:
    record = read_record(DATA / "alone.jsonl")
    (mastered,) = [event.details["at"] for event in record.events if event.name == "mastered"]
    assert mastered < record.evaluations[-1].steps
    assert len(alone(scenario(record))) == mastered // 2


# What rests on too little


LONG = tuple(np.linspace(0.1, 0.9, 15).tolist())
KNOWN = {"task00": 0.9, "task01": 0.2}


def told(
    *blocks: Evaluating | Learning, experts: tuple[tuple[float, ...], ...] = (LONG,)
) -> dict[str, str]:
    return grounded(blocks, measure(blocks, experts), experts)[1]


def test_a_whole_scenario_lacks_nothing() -> None:
    learning = [Learning("task00", LONG), Learning("task01", LONG)]
    before, between, after = (Evaluating(KNOWN, 200) for _ in range(3))
    assert told(before, learning[0], between, learning[1], after) == {}


def test_a_learner_that_learnt_nothing_carried_nothing_over() -> None:
    flat = Learning("task00", (0.1,) * 15)
    before, after = Evaluating({"task00": 0.1, "task01": 0.1}, 200), Evaluating(KNOWN, 200)
    blocks = (before, flat, after, Learning("task01", LONG), Evaluating(KNOWN, 200))
    measured = measure(blocks, [LONG])
    assert measured.forward_transfer_ratio
    kept, reasons = grounded(blocks, measured, [LONG])
    assert kept.forward_transfer_ratio == {}
    assert "no task reached accuracy 0.5" in reasons["forward_transfer_contrast"]
    assert "no task reached accuracy 0.5" in reasons["perf_maintenance_mrlep"]
    assert kept.backward_transfer_ratio == measured.backward_transfer_ratio


def test_few_images_tell_no_transfer() -> None:
    learning, few = Learning("task00", LONG), Evaluating(KNOWN, 199)
    reasons = told(Evaluating(KNOWN, 200), learning, few, Learning("task01", LONG), few)
    assert {name for name in reasons if "transfer" in name} == {
        *("forward_transfer_ratio", "forward_transfer_contrast"),
        *("backward_transfer_ratio", "backward_transfer_contrast"),
    }
    assert reasons["forward_transfer_ratio"] == (
        "evaluations use 199 images per task; at least 200 are needed"
    )


@pytest.mark.parametrize(
    ("learner", "experts", "reason"),
    [
        (LONG[1:], (LONG,), "no task's curve has 15 experiences"),
        (LONG, (LONG, LONG[1:]), "an expert has 14 experiences; at least 15 are needed"),
        (LONG, (), "no expert to compare with: --expert"),
    ],
)
def test_short_curves_are_not_compared(
    learner: tuple[float, ...], experts: tuple[tuple[float, ...], ...], reason: str
) -> None:
    reasons = told(Learning("task00", learner), Evaluating(KNOWN, 200), experts=experts)
    assert reasons["sample_efficiency"] == reasons["ste_rel_perf"] == reason


# The log


def test_an_exported_log_is_what_l2logger_asks_for(tmp_path: Path) -> None:
    found, header = lifelong_logs.visits()[0], read_record(DATA / "all.jsonl").header
    export(found, header, tmp_path / "log")
    info = json.loads((tmp_path / "log" / "logger_info.json").read_text())
    assert info == {"metrics_columns": ["accuracy"], "log_format_version": "1.1"}
    files = sorted(
        (tmp_path / "log").glob("worker-default/*/data-log.tsv"),
        key=lambda path: int(path.parent.name.split("-")[0]),
    )
    texts = [path.read_text() for path in files]
    rows = [row for text in texts for row in csv.DictReader(io.StringIO(text), delimiter="\t")]
    assert [int(row["exp_num"]) for row in rows] == list(range(len(rows)))
    assert {row["exp_status"] for row in rows} == {"complete"}
    for number, (block, path) in enumerate(zip(found, files, strict=True)):
        kind = "train" if isinstance(block, Learning) else "test"
        assert path.parent.name == f"{number}-{kind}"
        own = [row for row in rows if row["block_num"] == str(number)]
        assert {row["block_type"] for row in own} == {kind}
        values = block.accuracy if kind == "train" else block.accuracy.values()
        assert [float(row["accuracy"]) for row in own] == list(values)
    with pytest.raises(ConfigError, match="log: exists; choose another folder"):
        export(found, header, tmp_path / "log")


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), (ConfigError, "No space left")),
        (KeyboardInterrupt("Ctrl-C"), (KeyboardInterrupt, "Ctrl-C")),
    ],
    ids=["full", "stopped"],
)
def test_a_log_that_cannot_be_written_whole_is_not_left(
    raised: BaseException,
    told: tuple[type[BaseException], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stopped(path: Path, text: str, encoding: str) -> int:
        if path.name == "data-log.tsv":
            raise raised
        return len(text)

    monkeypatch.setattr(Path, "write_text", stopped)
    header = read_record(DATA / "all.jsonl").header
    with pytest.raises(told[0], match=told[1]):
        export(lifelong_logs.visits()[0], header, tmp_path / "log")
    assert not list(tmp_path.iterdir())


# The command


@pytest.fixture
def runs(tmp_path: Path) -> tuple[str, str]:
    for name in ("all", "alone"):
        text = (DATA / f"{name}.jsonl").read_text()
        header = read_record(DATA / f"{name}.jsonl").header
        path = record_path(tmp_path / name, TrialKey(header.workload, header.submission, 0, 0))
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return str(tmp_path / "all"), str(tmp_path / "alone")


def call(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["lifelong", *words])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_tells_measures_and_writes_logs(runs: tuple[str, str], tmp_path: Path) -> None:
    run, expert = runs
    logs = str(tmp_path / "logs")
    code, text, _ = call(run, "--expert", expert, "--export", logs)
    assert code == 0
    table = dict(line.split() for line in text.splitlines()[1:])
    expected = json.loads((DATA / "trial.json").read_text())["lifetime"]
    assert {name: float(value) for name, value in table.items()} == pytest.approx(
        expected, rel=1e-3
    )
    assert [path.name for path in Path(logs).iterdir()] == [
        "lifelong-toy-v2-adamw_jax-study0-trial0"
    ]
    code, text, _ = call(run, "--format", "json")
    (told,) = json.loads(text)
    assert code == 0
    assert told["submission"] == "adamw_jax"
    assert told["lifetime"]["sample_efficiency"] is None
    assert told["left_out"]["sample_efficiency"] == "no expert to compare with: --expert"
    tasks = json.loads((DATA / "trial.json").read_text())["tasks"]
    theirs = {
        f"{task}->{other}": value[0]
        for task, by in tasks.items()
        for other, value in by["backward_transfer_ratio"].items()
    }
    assert told["tasks"]["backward_transfer_ratio"] == pytest.approx(theirs, rel=1e-6)
    code, text, _ = call(run, "--format", "csv", "--expert", expert)
    (row,) = csv.DictReader(io.StringIO(text))
    assert float(row["ste_rel_perf"]) == pytest.approx(expected["ste_rel_perf"])


def test_several_trials_have_a_mean_with_its_error(runs: tuple[str, str], tmp_path: Path) -> None:
    header = read_record(DATA / "all.jsonl").header
    text = (DATA / "all.jsonl").read_text().replace('"study": 0', '"study": 1', 1)
    path = record_path(tmp_path / "all", TrialKey(header.workload, header.submission, 1, 0))
    path.write_text(text)
    code, text, error = call(runs[0])
    assert code == 0
    head, first = text.splitlines()[:2]
    assert head.endswith("lifelong-toy-v2/adamw_jax, mean of 2")
    values = first.split()
    assert values[1] == values[2] == values[3]
    assert values[4:] == ["+-", "0"]
    assert "all trials: no sample_efficiency: no expert to compare with: --expert\n" in error
    (row, *_) = [line for line in text.splitlines() if line.startswith("sample_efficiency")]
    assert row.split()[1:] == ["-", "-", "-"]


def test_what_is_no_lifelong_run_is_told_in_one_line(runs: tuple[str, str], tmp_path: Path) -> None:
    code, _, error = call(str(tmp_path))
    assert code == 2
    assert "not a run" in error
    (tmp_path / "trials").mkdir()
    code, _, error = call(str(tmp_path))
    assert (code, len(error.splitlines())) == (2, 1)
    assert "no trial of the lifelong family" in error


def test_a_trial_without_a_check_is_told(runs: tuple[str, str]) -> None:
    (path,) = Path(runs[0]).rglob("*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3]))
    code, _, error = call(runs[0])
    assert code == 2
    assert "ended before its first check; train for longer" in error
    path.write_text(lines[0])
    assert "has no tasks" in call(runs[0])[2]


def test_a_trial_that_cannot_be_told_of_is_left_out_beside_others(
    runs: tuple[str, str], tmp_path: Path
) -> None:
    header = read_record(DATA / "all.jsonl").header
    lines = (DATA / "all.jsonl").read_text().splitlines(keepends=True)
    path = record_path(tmp_path / "all", TrialKey(header.workload, header.submission, 1, 0))
    path.write_text("".join(lines[:3]).replace('"study": 0', '"study": 1', 1))
    code, text, error = call(runs[0], "--export", str(tmp_path / "logs"))
    assert code == 0
    assert text.splitlines()[0].split() == ["measure", "adamw_jax/study0/trial0"]
    assert f"skipped: {path}: ended before its first check" in error
    assert len(list((tmp_path / "logs").iterdir())) == 1
