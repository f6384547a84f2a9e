"""The conformance table: what is asked once is kept, and every way to fail is a cell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cluster.checks.cells import CHECK, Cell
from cluster.run_lock import drive
from suite.cli import main
from suite.conformance import ROWS, TABLE, Kept, Row, table

WORKLOAD = "homeostatic-toy-v3"
FORGETS = '''
"""Counts its steps where no checkpoint sees it, and goes twice as far on every third."""

COUNT = [0]


class Forgets:
    def init(self, params):
        COUNT[0] = 0
        return {}

    def update(self, params, state, batch, problem):
        _, gradients = problem.value_and_grad(params, batch)
        COUNT[0] += 1
        for name, p in params.items():
            p.sub_((0.02 if COUNT[0] % 3 else 0.04) * gradients[name])
        return state


def submission(params):
    return Forgets()
'''
DIES = """
import os

def submission(params):
    os._exit(3)
"""


def row(name: str, asked: str, told: str = "", *, resumes: bool | None = True) -> Row:
    bad = told and resumes is not None
    return Row(name, "torch", "", Cell(asked, not bad, told, 20, "m", 0.25, resumes))


def asked(output: Path, *words: str) -> Result:
    arguments = ["conformance", *words, "-o", str(output), "-w", f"{WORKLOAD}=8", "--no-check"]
    return CliRunner().invoke(main, arguments)


@pytest.mark.network
def test_failures_are_cells_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    for name, text in (("forgets", FORGETS), ("dies", DIES)):
        (tmp_path / f"{name}.py").write_text(text)
    words = ["adamw", str(tmp_path / "forgets.py"), str(tmp_path / "dies.py")]
    output = tmp_path / "out"
    first = asked(output, *words)
    assert first.exit_code == 0, first.output
    assert first.stdout == (output / TABLE).read_text()
    cells = {line.split(" | ")[0]: line for line in first.stdout.splitlines() if "`" in line}
    assert cells["| `adamw`"] == "| `adamw` | torch | ok |"
    assert "its process died (exit code 3)" in cells["| `dies`"]
    assert "resumes with other weights" in cells["| `forgets`"]
    assert first.stdout.startswith("3 submissions, 1 of 3 short trials ok, 1 continued")
    lines = (output / ROWS).read_text().splitlines()
    assert asked(output, *words).stdout == first.stdout
    assert (output / ROWS).read_text().splitlines() == lines
    (tmp_path / "dies.py").write_text(FORGETS)
    again = asked(output, *words, "--retry")
    assert [
        json.loads(line)["submission"] for line in (output / ROWS).read_text().splitlines()
    ] == [
        *(json.loads(line)["submission"] for line in lines),
        "forgets",
        "dies",
    ]
    assert "its process died" not in again.stdout


def test_a_table_has_a_line_a_submission_and_a_column_a_family() -> None:
    rows = [
        row("b", "lm-toy-v2"),
        row("a", CHECK),
        row("a", "lm-toy-v2", "state/hook is a function", resumes=None),
        row("a", "climate-toy-v2", "x" * 300),
    ]
    text = table(rows, [CHECK, "climate-toy-v2", "lm-toy-v2", "rl_nap-toy-v3"], values=True)
    summary, _, head, _, *lines = text.splitlines()
    assert summary == (
        "2 submissions, 1 of 1 checks passed, 2 of 3 short trials ok, 2 continued bit-identical"
        " after a kill. Steps: lm-v2 20, climate-v2 20."
    )
    assert head == "| submission | framework | check | climate-v2 | lm-v2 |"
    assert lines[0] == f"| `a` | torch | ok 0.25 | {'x' * 160}... | ok 0.25, anew |"
    assert lines[1] == "| `b` | torch |  |  | ok 0.25 |"


def test_an_answer_on_an_earlier_version_stands_until_there_is_a_later_one() -> None:
    rows = [
        row("a", "lm-toy-v3"),
        row("a", "lm-toy-v2", "broken then"),
        row("b", "lm-toy-v2"),
        row("b", "lm-toy-v3+qknorm"),
    ]
    text = table(rows, ["lm-toy-v3", "lm-toy-v3+qknorm", "lm-toy-v2"], values=True)
    summary, _, head, _, *lines = text.splitlines()
    assert summary.startswith("2 submissions, 3 of 3 short trials ok, 3 continued")
    assert head == "| submission | framework | lm-v3 | lm-v3+qknorm |"
    assert lines == ["| `a` | torch | ok 0.25 |  |", "| `b` | torch | ok on v2 0.25 | ok 0.25 |"]


def test_a_changed_submission_is_asked_anew(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.add(Row("a", "torch", "old", Cell(CHECK, True)))
    assert Kept(tmp_path).missing("a", "old", [CHECK, "w"], retry=True) == ["w"]
    assert Kept(tmp_path).missing("a", "new", [CHECK, "w"], retry=False) == [CHECK, "w"]


def test_what_is_kept_names_no_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    kept = Kept(tmp_path)
    kept.add(row("a", CHECK, "/home/me/a.py: no optimizer"))
    assert kept.rows() == Kept(tmp_path).rows() == [row("a", CHECK, "~/a.py: no optimizer")]


def test_a_table_that_another_process_fills_is_left_alone(tmp_path: Path) -> None:
    with drive(tmp_path):
        result = asked(tmp_path, "adamw")
        assert result.exit_code == 2
        assert "already racing this run; wait for it to end" in result.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["driver.lock"]


def test_what_is_no_row_is_named(tmp_path: Path) -> None:
    (tmp_path / ROWS).write_text('{"submission": "a"}\n')
    result = CliRunner().invoke(main, ["conformance", "adamw", "-o", str(tmp_path)])
    assert result.exit_code == 2
    assert f"{tmp_path / ROWS}:1: not a table row" in result.stderr


@pytest.mark.parametrize("count", ["1", "x", "-3", ""])
def test_steps_are_a_number(tmp_path: Path, count: str) -> None:
    words = ["conformance", "adamw", "-o", str(tmp_path), "-w", f"{WORKLOAD}={count}"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "is not a number of steps" in result.stderr
