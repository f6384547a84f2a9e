"""`compare` and `import-algoperf`, by the command line, on made-up runs and logs."""

from __future__ import annotations

import contextlib
import io
import math
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from scoring.algoperf_logs import workload_id
from scoring.board import compute
from scoring.comparison import compare
from scoring.records import RecordError
from suite.cli import main
from tests.scoring.conftest import HARDWARE, Run

LM, SHIFT = "lm-toy-v2", "homeostatic-toy-v1"


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def race(tmp_path: Path) -> Run:
    run = Run(tmp_path / "run")
    for workload in (LM, SHIFT):
        run.add(workload, "reference-torch", [20, 21, 22, 19, 18])
        run.add(workload, "fast", [10, 10.5, 11, 9.5, 9])
        run.add(workload, "slow", [20, 21, 23, 19, 18])
    return run


def test_two_entries_are_compared(race: Run) -> None:
    result = invoke("compare", race.folder, "fast", "slow")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("fast is significantly better than slow (5 %")
    assert lines[1] == "score: fast 1.167, slow 1.000"
    assert lines[2].startswith("difference over paired studies: +0.1")
    assert lines[3] == "fast scores higher in 100 % of resampled studies"
    assert lines[4].endswith("both met the target: 2.000")
    row = next(line.split() for line in lines if line.startswith(LM))
    assert row == [LM, "10", "×0.50", "20", "×1.00", "0.5", "0.478–0.500", "1.167", "/", "1.000"]
    assert invoke("compare", race.folder, "slow", "fast").stdout.splitlines()[0] == lines[0]


def test_where_redrawn_studies_miss_no_interval_of_those_that_met_is_told(tmp_path: Path) -> None:
    """Two of five studies missed: a third of the redrawn sets of studies has no ratio at all."""
    run = Run(tmp_path / "run").add(LM, "reference-torch", [20, 21, 22, 19, 18])
    run.add(LM, "steady", [20, 21, 23, 19, 18]).add(LM, "risky", [10, 11, 12, math.inf, math.inf])
    board = compute([run.folder])
    part = compare(board, "risky", "steady").parts[LM]
    assert part.ratio == pytest.approx(0.6) and part.interval is None
    assert compare(board, "steady", "reference-torch").parts[LM].interval is not None


def test_nearly_all_redrawn_studies_are_not_all(race: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scoring.comparison.chance_of_better", lambda one, other: 0.9996)
    told = invoke("compare", race.folder, "fast", "slow").stdout
    assert "fast scores higher in >99 % of resampled studies" in told


def test_entries_of_two_machines_are_compared_by_each_ones_own_reference(tmp_path: Path) -> None:
    """The machine of `other` takes twice as long over everything: its steps are fewer, yet."""
    quick, slow = Run(tmp_path / "quick"), Run(tmp_path / "slow")
    there = HARDWARE | {"cpu": "Slow CPU", "digest": "bbbb"}
    quick.add(LM, "reference-torch", [20, 21, 22]).add(LM, "one", [20, 21, 22])
    slow.add(LM, "reference-torch", [40, 42, 44], hardware=there)
    slow.add(LM, "other", [30, 31.5, 33], hardware=there)
    lines = invoke("compare", quick.folder, slow.folder, "one", "other").stdout.splitlines()
    assert lines[0].startswith("other is significantly better than one")
    assert any(line.endswith("both met the target: 0.750") for line in lines)
    row = next(line.split() for line in lines if line.startswith(LM))
    assert row[:6] == [LM, "21", "×1.00", "31.5", "×0.75", "1.333"]
    low, high = map(float, row[6].split("–"))
    assert low < 4 / 3 < high  # two references, drawn apart, do not cancel


def test_an_interval_that_was_held_within_what_is_possible_says_so(tmp_path: Path) -> None:
    run = Run(tmp_path / "two").add(LM, "reference-torch", [20, 21])
    run.add(LM, "sure", [10, 10]).add(LM, "odd", [math.inf, 10])
    lines = invoke("compare", run.folder, "sure", "odd").stdout.splitlines()
    assert lines[0] == "the difference between sure and odd is not significant"
    assert "to +1.333, clipped to the possible range)" in lines[2]


@pytest.mark.parametrize("studies", [1, 3])
def test_one_study_or_several_that_differ_alike_cannot_tell(studies: int, tmp_path: Path) -> None:
    run = Run(tmp_path / "run").add(LM, "reference-torch", [20, 21, 22][:studies])
    run.add(LM, "a", [20] * studies).add(LM, "b", [20] * studies)
    result = invoke("compare", run.folder, "a", "b")
    assert "cannot be tested on one study, or on several that differ alike" in result.stdout
    row = next(line for line in result.stdout.splitlines() if line.startswith(LM))
    assert row.endswith("— / —")  # nothing is left without its workload


def test_few_studies_tell_no_chance(tmp_path: Path) -> None:
    run = Run(tmp_path / "two").add(LM, "reference-torch", [20, 21])
    run.add(LM, "a", [10, 11]).add(LM, "b", [20, 21])
    run.add(SHIFT, "reference-torch", [20, 21]).add(SHIFT, "a", [10, 11])  # b did not race there
    told = invoke("compare", run.folder, "a", "b").stdout
    assert "difference over paired studies" in told
    assert "resampled studies" not in told


@pytest.mark.parametrize("words", [["score"], ["compare", "fast", "slow"], ["report"], ["publish"]])
def test_a_clock_that_was_not_read_is_refused(words: list[str], race: Run) -> None:
    command, *names = words
    result = invoke(command, race.folder, *names, "--clock", "paired")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "was not timed on the paired clock; choose another with --clock" in result.stderr


def test_an_unknown_entry_is_told_with_the_nearest(race: Run) -> None:
    result = invoke("compare", race.folder, "fats", "slow")
    assert (result.exit_code, "did you mean 'fast'" in result.stderr) == (2, True)
    assert invoke("compare", race.folder, "fast").exit_code == 2


@pytest.mark.parametrize("words", [("fast", "RUN"), ("RUN", "slow")])
def test_a_run_where_a_submission_belongs_is_told_for_what_it_is(
    words: tuple[str, str], race: Run
) -> None:
    given = [race.folder if word == "RUN" else word for word in words]
    result = invoke("compare", race.folder, *given)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert f"{race.folder} is a run, where a submission is expected" in result.stderr


def write_logs(logs: Path, submission: str, workload: str, hits: list[float]) -> None:
    for study, time in enumerate(hits):
        folder = logs / submission / f"study_{study}" / f"{workload}_jax" / "trial_1"
        folder.mkdir(parents=True)
        last = time if math.isfinite(time) else 900.0
        value = 0.5 if math.isfinite(time) else 0.1
        (folder / "eval_measurements.csv").write_text(
            "global_step,score,validation/mean_average_precision,test/loss\n"
            f"1,10.0,0.05,\n100,{last},{value},1.0\n100,{last},{value},1.0\n"
        )
        (folder / "hparams.json").write_text('{"learning_rate": 0.1}')


def test_published_logs_are_scored_as_published(tmp_path: Path) -> None:
    for name, base, variant in (
        ("quick", [100, 110, 120], [100, 100, 100]),
        ("steady", [200, 200, 200], [150, 150, 150]),
        ("partial", [50, 50, 50], [math.inf] * 3),
    ):
        write_logs(tmp_path / "logs", name, "ogbg", base)
        write_logs(tmp_path / "logs", name, "ogbg_model_size", variant)
    result = invoke("import-algoperf", tmp_path / "logs", "-o", tmp_path / "run")
    assert (result.exit_code, result.stderr) == (0, "18 trials\n")
    board = compute([tmp_path / "run"], protocol="algoperf", held_out=True)
    ratios = {row.submission: row.cells["ogbg"].ratio for row in board.rows}
    assert ratios == {"quick": 1.0, "steady": pytest.approx(200 / 110), "partial": math.inf}
    again = invoke("import-algoperf", tmp_path / "logs", "-o", tmp_path / "run")
    assert (again.exit_code, "already holds trials" in again.stderr) == (2, True)


def test_logs_are_scored_under_our_protocol_with_one_of_them_as_reference(tmp_path: Path) -> None:
    for name, times in (("quick", [100, 110, 120]), ("base", [200, 210, 220])):
        write_logs(tmp_path / "logs", name, "ogbg", [float(time) for time in times])
    given = ("import-algoperf", tmp_path / "logs", "-o", tmp_path / "run", "--reference")
    assert "no submission 'bass'" in invoke(*given, "bass").stderr
    assert invoke(*given, "base").exit_code == 0
    rows = {row.submission: row for row in compute([tmp_path / "run"]).rows}
    assert rows["reference-jax"].is_reference
    share = (0.28098 - 0.05) / (0.5 - 0.05)  # of the way from the evaluation at 10 s to the hit
    expected = (10 + share * 100) / (10 + share * 200)
    assert rows["quick"].cells["ogbg"].ratio == pytest.approx(expected)


def test_logs_that_are_none_and_workloads_without_target_are_told(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    result = invoke("import-algoperf", tmp_path / "logs", "-o", tmp_path / "run")
    assert (result.exit_code, "no AlgoPerf logs" in result.stderr) == (2, True)
    with pytest.raises(RecordError, match="no published target"):
        workload_id("mnist")


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "eval_measurements.csv",
            "global_step,score,validation/mean_average_precision\ninf,1.0,0.5\n",
            "eval_measurements.csv:2: not a row of evaluations",
        ),
        ("hparams.json", '{"a":' * 100_000, "hparams.json: cannot be read"),
    ],
)
def test_a_damaged_log_is_one_line_and_leaves_nothing(
    file: str, text: str, said: str, tmp_path: Path
) -> None:
    write_logs(tmp_path / "logs", "quick", "ogbg", [100, 110])
    max((tmp_path / "logs").rglob(file)).write_text(text)
    result = invoke("import-algoperf", tmp_path / "logs", "-o", tmp_path / "run")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert said in result.stderr
    assert not (tmp_path / "run").exists()


def test_variants_that_count_on_no_leaderboard_are_left_out_and_told(tmp_path: Path) -> None:
    for workload in ("ogbg", "ogbg_gelu", "ogbg_silu"):
        write_logs(tmp_path / "logs", "quick", workload, [100, 110])
    result = invoke("import-algoperf", tmp_path / "logs", "-o", tmp_path / "run")
    assert (result.exit_code, result.stderr.splitlines()) == (
        0,
        [
            "2 trials",
            "skipped trials without a published target: ogbg_gelu 2, ogbg_silu 2",
        ],
    )
    shutil.rmtree(tmp_path / "logs" / "quick" / "study_0" / "ogbg_jax")
    shutil.rmtree(tmp_path / "logs" / "quick" / "study_1" / "ogbg_jax")
    result = invoke("import-algoperf", tmp_path / "logs", "-o", tmp_path / "none")
    assert (result.exit_code, "workload 'ogbg_gelu'" in result.stderr) == (2, True)
    assert not (tmp_path / "none").exists()


def test_what_hangs_on_the_order_of_a_folder_is_told(tmp_path: Path) -> None:
    """Two trials of the study hit at their second evaluation, at 100 s and 300 s."""
    write_logs(tmp_path / "logs", "tied", "ogbg", [300])
    study = tmp_path / "logs" / "tied" / "study_0" / "ogbg_jax"
    shutil.copytree(study / "trial_1", study / "trial_2")
    log = study / "trial_2" / "eval_measurements.csv"
    log.write_text(log.read_text().replace("100,300", "100,100"))
    write_logs(tmp_path / "logs", "rival", "ogbg", [200])
    assert invoke("import-algoperf", tmp_path / "logs", "-o", tmp_path / "run").exit_code == 0
    board = compute([tmp_path / "run"], protocol="algoperf")
    assert {row.submission: round(row.score, 2) for row in board.rows} == {
        "rival": 1.0,
        "tied": 0.83,
    }
    (note,) = [note for note in board.notes if "its file system lists first" in note]
    assert note.endswith(": rival 0.672 or 1.000, tied 1.000 or 0.833")


def on_a_terminal(*words: object) -> str:
    """What a command prints on a terminal of 50 columns."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from suite.cli import main; main()", *map(str, words)]
    env = os.environ | {"COLUMNS": "50", "TERM": "dumb"}
    with subprocess.Popen(command, stdout=theirs, env=env):
        os.close(theirs)
        parts = []
        with contextlib.suppress(OSError):  # which is how a terminal ends
            while part := os.read(ours, 4096):
                parts.append(part)
    os.close(ours)
    return b"".join(parts).decode().replace("\r\n", "\n")


def test_what_is_told_beneath_a_board_keeps_to_the_terminal(race: Run, tmp_path: Path) -> None:
    costs = tmp_path / "costs.json"
    costs.write_text('{"fast": {"lm-laptop-v2": 1.25, "homeostatic-laptop-v3": 2}}')
    words = ("score", race.folder, "--more", "--costs", costs)
    wide, narrow = invoke(*words).stdout, on_a_terminal(*words)
    start = "geometric mean"
    beneath = narrow[narrow.index(start) :]
    assert max(map(len, wide[wide.index(start) :].splitlines())) > 100
    assert max(map(len, beneath.splitlines())) <= 50
    assert beneath.split() == wide[wide.index(start) :].split()


def test_the_trials_are_exported_as_a_table(race: Run) -> None:
    refused = invoke("score", race.folder, "--format", "trials", "--more")
    assert (refused.exit_code, refused.stdout) == (2, "")
    result = invoke("score", race.folder, "--format", "trials")
    assert result.exit_code == 0, result.output
    table = pd.read_csv(io.StringIO(result.stdout))
    assert len(table) == 30
    assert table.loc[0, ["workload", "submission", "wall"]].tolist() == [SHIFT, "fast", 10.0]
