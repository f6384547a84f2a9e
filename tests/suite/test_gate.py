"""`gradathlon gate`, and the script of the action that uses it."""

from __future__ import annotations

import json
import math
import os
import random
import re
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist
from typing import Any

import click
import pytest
import yaml

from scoring.board import Board, Cell, Row
from suite import gate
from suite.cli import COMMANDS, main
from suite.commands import Finite
from suite.gate import LEVEL
from tests.conftest import console_script
from tests.scoring.conftest import Run as PlainRun
from tests.scoring.page_race import race

Invoke = Callable[..., Any]
ACTION = Path(__file__).parents[2] / "suite" / "action"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoke) -> dict[str, Any]:
    """The board of a run in the folder `first`, also in `scores.json`."""
    monkeypatch.chdir(tmp_path)
    race(Path("first"), evaluations=20)
    text = invoke("score", "first", "--clock", "steps", "--format", "json").stdout
    Path("scores.json").write_text(text)
    return json.loads(text)


def rewrite(kept: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> None:
    row = next(row for row in kept["rows"] if not row["is_reference"])
    change(row)
    Path("scores.json").write_text(json.dumps(kept))


def first_hit(row: dict[str, Any]) -> dict[str, Any]:
    return next(cell for cell in row["cells"].values() if cell["time"] is not None)


def test_a_run_passes_its_own_board(kept: dict[str, Any], invoke: Invoke) -> None:
    result = invoke("gate", "first", "--baseline", "scores.json")
    assert result.exit_code == 0
    assert result.stdout.startswith("**Nothing got worse**: ")


def test_more_steps_fail_unless_the_slack_allows_them(kept: dict[str, Any], invoke: Invoke) -> None:
    rewrite(kept, lambda row: first_hit(row).update(time=first_hit(row)["time"] / 1.04))
    result = invoke("gate", "first", "--baseline", "scores.json")
    assert result.exit_code == 1
    assert result.stdout.count("+4.0 % |") == 1
    assert invoke("gate", "first", "--baseline", "scores.json", "--slack", "5").exit_code == 0


def elsewhere(kept: dict[str, Any], cpu: str = "another CPU") -> None:
    kept["provenance"]["machines"] = [cpu]
    Path("scores.json").write_text(json.dumps(kept))


def test_on_another_class_of_cpu_seeds_explain_some_steps(
    kept: dict[str, Any], invoke: Invoke
) -> None:
    """The made-up studies spread by 10 % and more."""
    rewrite(kept, lambda row: first_hit(row).update(time=first_hit(row)["time"] / 1.04))
    elsewhere(kept)
    result = invoke("gate", "first", "--baseline", "scores.json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "beyond seed variation" in result.stdout
    rewrite(kept, lambda row: first_hit(row).update(time=first_hit(row)["time"] / 9))
    assert invoke("gate", "first", "--baseline", "scores.json").exit_code == 1


def test_where_nothing_tells_what_seeds_do_a_slack_is_asked_for(
    kept: dict[str, Any], invoke: Invoke
) -> None:
    race(Path("single"), evaluations=20, studies=1)
    elsewhere(json.loads(invoke("score", "single", "--clock", "steps", "--format", "json").stdout))
    result = invoke("gate", "single", "--baseline", "scores.json")
    assert result.exit_code == 2
    assert "race 3 studies or more, or allow some percent with --slack" in result.stderr
    result = invoke("gate", "single", "--baseline", "scores.json", "--slack", "90")
    assert result.exit_code == 0
    assert "(slack 0.9)" in result.stdout


def test_unchanged_submissions_seldom_fail_on_another_class_of_cpu() -> None:
    rng, spread, failed = random.Random(1), 0.1, 0
    allowed = gate.Allowance(None, {("w", "torch"): spread}, NormalDist().inv_cdf(1 - LEVEL / 4))
    for _ in range(400):
        drawn = [[math.exp(rng.gauss(0, spread)) for _ in range(3)] for _ in range(8)]
        medians = list(map(statistics.median, drawn))
        pairs = zip(medians[:4], medians[4:], strict=True)
        failed += any(now > before * allowed.factor("w", "torch", (3, 3)) for before, now in pairs)
    assert failed / 400 <= 0.08


def test_a_variant_s_steps_move_the_score_by_its_share() -> None:
    """`b` is half of the score; `a` and its variant, whose steps no seed moves, share the other."""
    ids, factor = ("a", "a+v", "b"), 1.1
    cells = {id: Cell(id, 100.0, 1.0, (100.0,), 1, 1) for id in ids}
    loss = 0.5 * (factor - 1) / 3
    kept = gate.KeptRow(
        submission="x",
        framework="torch",
        is_reference=False,
        score=1.0,
        cells={id: gate.KeptCell(time=100.0, ratio=1.0, study_times=[100.0]) for id in ids},
    )
    baseline = gate.Baseline(protocol="gradathlon", clock="steps", rows=[kept])
    spread = {("b", "torch"): math.log(factor) / math.sqrt(2)}
    allowed = gate.Allowance(None, spread, z=1.0)
    for score, worse in ((1 - 0.99 * loss, False), (1 - 1.01 * loss, True)):
        row = Row(1, 1, None, "x", "torch", score, None, cells, False)
        changes = gate.compare(Board("gradathlon", "steps", ids, (row,), ()), baseline, allowed)
        assert [one.worse for one in changes if one.where == gate.SCORE] == [worse]


def test_what_the_baseline_never_raced_is_told_and_not_called_worse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    """Two machines raced a submission each, on a workload of its own."""
    monkeypatch.chdir(tmp_path)
    for name, id, cpu in (("a", "lm-toy-v2", "X"), ("b", "homeostatic-toy-v3", "Y")):
        run = PlainRun(Path(name), "steps")
        machine = {"cpu": cpu, "cores": 1, "digest": cpu}
        for submission in ("reference-torch", name):
            run.add(id, submission, [20.0, 21.0, 22.0], hardware=machine)
    board = invoke("score", "a", "b", "--clock", "steps", "--format", "json").stdout
    Path("scores.json").write_text(board)
    result = invoke("gate", "a", "b", "--baseline", "scores.json")
    assert (result.exit_code, result.stderr) == (0, "")
    told = "not compared (no trial in the baseline): "
    assert told + "a on homeostatic-toy-v3; b on lm-toy-v2" in result.stdout
    assert result.stdout.startswith("**Nothing got worse**")
    gone = invoke("gate", "a", "--baseline", "scores.json")
    assert (gone.exit_code, gone.stdout.count("| not raced |")) == (1, 3)


@pytest.mark.parametrize("slack", ["nan", "-nan", "inf", "-inf", "1e999", "-1", "101", "x", ""])
def test_a_slack_is_a_share(slack: str, kept: dict[str, Any], invoke: Invoke) -> None:
    result = invoke("gate", "first", "--baseline", "scores.json", "--slack", slack)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Invalid value for '--slack'" in result.stderr


def test_no_number_of_the_command_line_may_be_none() -> None:
    """Every option that takes a float is of the type that knows what is finite."""
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        for option in command.params:
            kinds = getattr(option.type, "types", [option.type])
            assert not [
                kind
                for kind in kinds
                if isinstance(kind, click.types.FloatParamType) and not isinstance(kind, Finite)
            ], (name, option.opts)


def test_a_fallen_score_and_an_entry_that_is_gone_fail(
    kept: dict[str, Any], invoke: Invoke
) -> None:
    rewrite(kept, lambda row: row.update(score=row["score"] + 0.5))
    assert "| score |" in invoke("gate", "first", "--baseline", "scores.json").stdout
    rewrite(kept, lambda row: row.update(submission="gone"))
    result = invoke("gate", "first", "--baseline", "scores.json")
    assert result.exit_code == 1
    assert "| gone | score | " in result.stdout
    assert "| not raced | " in result.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "scores.json: not a board (not JSON)"),
        ("[" * 100_000, "scores.json: not a board (not JSON)"),
        ("{}", "scores.json: not a board (protocol: Field required)"),
        ('{"protocol": "gradathlon", "clock": "wall", "rows": []}', "on the wall clock"),
    ],
)
def test_what_is_no_baseline_is_told_in_a_line(
    text: str, said: str, kept: dict[str, Any], invoke: Invoke
) -> None:
    Path("scores.json").write_text(text)
    result = invoke("gate", "first", "--baseline", "scores.json")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert said in result.stderr


STAND_IN = """#!/bin/sh
echo "$1" >> calls
case "$1" in gate) echo worse; exit 1 ;; run) mkdir -p out ;; score) echo "{}" ;; esac
"""


@pytest.mark.parametrize(("baseline", "code"), [("", 0), ("scores.json", 1)])
def test_the_action_checks_races_shows_and_gates(baseline: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "scores.json").touch()
    command = tmp_path / "gradathlon"
    command.write_text(STAND_IN)
    command.chmod(0o755)
    given = {"SUBMISSION": "my_opt.py", "SUITE": "ci", "OUTPUT": "out", "BASELINE": baseline}
    environment = {**os.environ, **given, "GITHUB_STEP_SUMMARY": "summary.md"}
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    done = subprocess.run([ACTION / "race.sh"], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == code
    stages = ["check", "run", "score", "score", "report", *(["gate"] if baseline else [])]
    assert (tmp_path / "calls").read_text().split() == stages
    assert ("worse" in (tmp_path / "summary.md").read_text()) == bool(baseline)


RACED = """#!/bin/sh
case "$1" in check) ;; run) cp -r first out ;; *) exec {command} "$@" ;; esac
"""
"""A race that has been raced already, then the real commands."""


def test_a_submission_that_got_worse_fails_the_job_and_the_summary_says_where(
    kept: dict[str, Any], tmp_path: Path
) -> None:
    rewrite(kept, lambda row: first_hit(row).update(time=first_hit(row)["time"] / 1.04))
    worse = next(row["submission"] for row in kept["rows"] if not row["is_reference"])
    command = tmp_path / "gradathlon"
    command.write_text(RACED.format(command=console_script()))
    command.chmod(0o755)
    given = {"SUBMISSION": "my_opt.py", "SUITE": "ci", "OUTPUT": "out", "BASELINE": "scores.json"}
    environment = {**os.environ, **given, "GITHUB_STEP_SUMMARY": "summary.md"}
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    done = subprocess.run([ACTION / "race.sh"], cwd=tmp_path, env=environment, check=False)
    summary = Path("summary.md").read_text()
    assert done.returncode == 1
    assert re.search(r"^\*\*1 of \d+ numbers got worse\*\* on the steps clock$", summary, re.M)
    assert re.search(rf"^\| {worse} \| .* \| \+4\.0 % \|$", summary, re.M)
    assert "| rank |" in summary.split("numbers got worse")[0]
    assert Path("out/report.html").exists(), "the page is kept of a job that fails, too"


def test_the_action_hands_its_inputs_to_the_script() -> None:
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    handed = action["runs"]["steps"][0]["env"]
    assert {f"${{{{ inputs.{name} }}}}" for name in action["inputs"]} == set(handed.values())
