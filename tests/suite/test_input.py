"""Whatever is typed or written is answered: one line each error, exit code 2, nothing left."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.spec import ClusterError
from suite.cli import COMMANDS, main

Invoke = Callable[..., Any]
GOOD: dict[str, Any] = {
    "title": "Mine",
    "workloads": ["lm-toy-v2"],
    "submissions": ["adamw"],
    "ruleset": "external",
    "studies": 1,
}
BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def written(**changes: Any) -> str:
    return yaml.safe_dump(GOOD | changes)


WRONG = {
    "studies": (written(studies=10**22), "studies: expected less than or equal to 1000"),
    "trials": (written(trials=1001), "trials: expected less than or equal to 1000"),
    "factor": (written(budget_factor=float("inf")), "budget_factor: expected less than or equal"),
    "nan": (written(budget_factor=float("nan")), "budget_factor: expected "),
    "cores": (written(resources={"cores": 10**9}), "resources.cores: expected less than"),
    "cores_here": (written(resources={"cores": 1000}), "resources.cores: a trial holds 1000 cores"),
    "title": (written(title="x" * 1000), "title: expected "),
    "bomb": (BOMB, "keys and values"),
    "nul": (written(submissions=["./a\0b.py"]), "a path cannot hold a NUL"),
    "nul_workload": (written(workloads=["lm\0"]), "unknown workload"),
    "type": (written(points={"adamw": [{"lr": "fast"}]}), "points.adamw.0.lr: expected a number"),
    "infinite": (written(points={"adamw": [{"lr": float("inf")}]}), "expected a finite number"),
    "outside": (written(points={"adamw": [{"lr": 1e9}]}), "outside of the search space of adamw"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_suite_out_of_bounds_is_told_and_leaves_nothing(
    case: str, raced: Any, invoke: Invoke, suite_file: Callable[[str], Path], monkeypatch: Any
) -> None:
    text, message = WRONG[case]
    path = suite_file(text)
    monkeypatch.chdir(path.parent)
    for flag in ("--dry-run", "--no-reference"):
        result = invoke("run", path.name, "-o", "out", flag)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert message in result.stderr
        assert len(result.stderr) < 2000
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_all_errors_of_a_suite_are_told_at_once(
    invoke: Invoke, suite_file: Callable[[str], Path]
) -> None:
    path = suite_file(written(studies=0, trials="many", clock="sundial"))
    lines = invoke("run", str(path)).stderr.splitlines()
    assert [line.split(": ")[-2 if "did you" in line else -1] != "" for line in lines]
    assert len(lines) == 3
    path = suite_file(written(workloads=["lm-toy-v2", "x"], submissions=["adam_w", "nothing"]))
    lines = invoke("run", str(path)).stderr.splitlines()
    assert len(lines) == 4
    assert all(str(path) in line for line in lines)


@pytest.mark.parametrize("kind", ["pipe", "folder", "huge"])
def test_what_is_no_text_file_is_refused_without_a_wait(
    kind: str, invoke: Invoke, tmp_path: Path
) -> None:
    for name in ("suite.yaml", "opt.py"):
        path = tmp_path / name
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        else:
            with path.open("wb") as file:
                file.truncate(10**10)
    suite, opt = (str(tmp_path / name) for name in ("suite.yaml", "opt.py"))
    for words in (["run", suite], *([["check", opt]] if kind != "folder" else [])):
        result = invoke(*words)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert "cannot be read: " in result.stderr


def test_keys_of_a_resumed_run_never_leave_its_folder(
    fake: Any, invoke: Invoke, tmp_path: Path
) -> None:
    words = ("-w", "lm-toy-v2", "-s", "adamw", "-o", "run")
    assert invoke("run", "demo", *words).exit_code == 0
    path = tmp_path / "run" / "run.yaml"
    text = path.read_text()
    for old in ("adamw.py", "lm-toy-v2"):
        path.write_text(text.replace(f"{old}:", f"../../{old}:"))
        result = invoke("run", "--resume", "-o", "run")
        assert result.exit_code == 2
        assert "is no plain name" in result.stderr


def test_a_race_that_could_not_begin_leaves_no_folder(
    fake: Any, invoke: Invoke, tmp_path: Path, monkeypatch: Any
) -> None:
    def refuse(spec: Any) -> None:
        raise ClusterError("no cluster here")

    fake.before = refuse
    assert invoke("run", "demo", "-w", "lm-toy-v2", "-o", "out").exit_code == 2
    assert not (tmp_path / "out").exists()


def options() -> list[str]:
    found = []
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        found += [word for option in command.params for word in option.opts]
    return sorted({word for word in found if word.startswith("-")})


PIECES = st.one_of(
    st.sampled_from(options()),
    st.sampled_from(["demo", "adamw", "lm-toy-v2", "-1", "1e400", "", ".", "/dev/null", "\u202e"]),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
)
QUIET = [HealthCheck.function_scoped_fixture]


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET, derandomize=True)
@given(name=st.sampled_from([*COMMANDS, "nothing"]), words=st.lists(PIECES, max_size=4))
def test_no_command_line_ends_in_a_traceback(
    name: str, words: list[str], fake: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    if name in ("check", "try", "parity", "data", "set-targets"):
        words = [*words, "--no-such-option"]  # these work for long where the words happen to fit
    result = CliRunner().invoke(main, [name, *words], prog_name="gradathlon")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (0, 1, 2)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = [*GOOD, "trials", "clock", "seed", "budget_factor", "resources", "points", "points_on"]


@settings(max_examples=100, deadline=None, suppress_health_check=QUIET, derandomize=True)
@given(changes=st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=3))
def test_no_suite_ends_in_a_traceback(changes: dict[str, Any], raced: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(written(**changes))
    result = CliRunner().invoke(main, ["run", str(path), "--dry-run"], prog_name="gradathlon")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (0, 2)
