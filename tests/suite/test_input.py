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
from tests.scoring.conftest import Run

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
    "title": (written(title="x" * 1000), "title: expected "),
    "bomb": (BOMB, "keys and values"),
    "nul": (written(submissions=["./a\0b.py"]), "a path cannot contain a NUL"),
    "nul_workload": (written(workloads=["lm\0"]), "unknown workload"),
    "type": (written(points={"adamw": [{"lr": "fast"}]}), "points.adamw.0.lr: expected a number"),
    "infinite": (written(points={"adamw": [{"lr": float("inf")}]}), "expected a finite number"),
    "beyond": (written(points={"adamw": [{"lr": 10**309}]}), "expected a finite number"),
    "outside": (written(points={"adamw": [{"lr": 1e9}]}), "outside the search space of adamw"),
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
        assert len(result.stderr) < 3000
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_plan_for_a_larger_machine_can_be_looked_at_here(
    raced: Any, invoke: Invoke, suite_file: Callable[[str], Path]
) -> None:
    path, told = suite_file(written(resources={"cores": 1000})), "a trial needs 1000 cores"
    refused = invoke("run", str(path), "-o", "out")
    assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert f"resources.cores: {told}" in refused.stderr
    dry = invoke("run", str(path), "-o", "out", "--dry-run")
    assert dry.exit_code == 0 and dry.stdout.splitlines()[1].startswith("lm-toy-v2")
    assert dry.stderr.startswith("not on this machine: ") and told in dry.stderr
    assert not Path("out").exists()


def test_all_errors_of_a_suite_are_told_at_once(
    invoke: Invoke, suite_file: Callable[[str], Path]
) -> None:
    path = suite_file(written(studies=0, trials="many", clock="sundial"))
    lines = invoke("run", str(path)).stderr.splitlines()
    assert [line.split(": ")[-2 if "did you" in line else -1] != "" for line in lines]
    assert len(lines) == 3
    path = suite_file(written(workloads=["lm-toy-v1", "x"], submissions=["adam_w", "nothing"]))
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
        assert "is not a plain name" in result.stderr


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


@settings(max_examples=60, suppress_health_check=QUIET, derandomize=True)
@given(name=st.sampled_from([*COMMANDS, "nothing"]), words=st.lists(PIECES, max_size=4))
def test_no_command_line_ends_in_a_traceback(
    name: str, words: list[str], fake: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    if name in ("check", "try", "parity", "data", "set-targets"):
        words = [*words, "--no-such-option"]  # these work for long where the words happen to fit
    before = sorted(Path().rglob("*"))
    result = CliRunner().invoke(main, [name, *words], prog_name="gradathlon")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (0, 1, 2)
    assert result.exit_code != 2 or sorted(Path().rglob("*")) == before


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
BROKEN = [
    *(["run", "demo", flag, bad] for flag in ("--studies", "--trials", "--at-once", "--seed")
      for bad in ("-1", "0.5", "x", "1e3", "1_0x", "10000000000000000000000", "")),
    *(["run", suite] for suite in ("", ".", "..", "/", "/dev/zero", "nothing.yaml", "dem", "a\n")),
    *(["run", "demo", "-w", bad] for bad in ("", "lm", "lm-toy-v\u0661", "lm-toy-v" + "9" * 5000,
      "../x", "lm-toy-v2+", "lm-toy-v2+x+y", "*", "\u202e", "lm-toy-v2 ")),
    *(["run", "demo", "-s", bad] for bad in ("", "adam w", "reference-torch", "/dev/zero", ".",
      "nothing.py", "../../etc/passwd", "adamw.py", "\u0000", "a" * 5000)),
    *(["run", "demo", "--clock", bad] for bad in ("", "sun", "WALL!", "wall cpu")),
    *(["run", "demo", "--address", bad] for bad in ("", "nonsense", "ray://", "1.2.3.4:x")),
    *([name, bad] for name in ("score", "report", "validate", "verify", "publish", "watch")
      for bad in ("", "nothing", "/dev/null", "run.yaml", "s3:/", "..", "\u202e")),
    *([name] for name in ("score", "report", "validate", "verify", "show", "check", "try", "gate")),
    *(["list", bad] for bad in ("", "workload", "all", "-x")),
    *(["show", bad] for bad in ("", "lm", "lm-toy", "lm-toy-v99", "adamw.yaml")),
    *(["check", bad] for bad in ("", "nothing.py", ".", "/dev/zero", "adamvv", "lm-toy-v99")),
    *(["try", "lm-toy-v2", "adamw", "-p", bad, "--no"] for bad in ("lr=[1", "lr", "=", "lr=")),
    *(["try", "homeostatic-toy-v3", "adamw", "-p", bad] for bad in ("lr=[1", "lr=2020-01-01",
      "lr=!!python/object:os.x", "lr", "=1", "nothing=1", "lr=.nan", "lr=abc")),
    *(["new", bad] for bad in ("", "reference-x.py", "my opt.py", "/dev/null", "x/y.py", "a.txt")),
    *(["set-targets", bad] for bad in ("", "lm", "nothing", "lm-toy-v99")),
    *(["parity", bad] for bad in ("", "lm", "lm-toy-v99")),
    *(["conformance", "adamw", "-o", "out", "-w", f"lm-toy-v2={bad}"]
      for bad in ("1e9", "9" * 30, "9" * 5000, "", "1", "-5")),
    *([name, "adamw", "lm-toy-v2", "--cores", "1000", "-o", "out", *more] for name, more in
      (("tune", []), ("sweep", ["--parameter", "lr=1e-3:1:log"]))),
    ["calibrate", "adamw", "--suite", "demo", "--cores", "1000", "-o", "out"],
    *([name, "--no-such"] for name in COMMANDS),
    *([name, "--hlep"] for name in COMMANDS),
    *([name, "-" * 50] for name in COMMANDS),
    *([f"{name}s"] for name in COMMANDS),
]  # fmt: skip


def test_every_broken_command_line_is_told_in_a_line_and_leaves_nothing(
    fake: Any, tmp_path: Path
) -> None:
    """Each ends at once with exit code 2, or where nothing at all was asked of it."""
    before, wrong = sorted(Path().rglob("*")), []
    for words in BROKEN:
        result = CliRunner().invoke(main, words, prog_name="gradathlon")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            wrong.append(f"{words}: {result.exception!r}"[:300])
        elif result.exit_code != 2:
            wrong.append(f"{words}: exit code {result.exit_code}"[:300])
        elif not result.stderr.strip() or len(result.stderr) > 6000:
            wrong.append(f"{words}: {len(result.stderr)} characters"[:300])
        if (after := sorted(Path().rglob("*"))) != before:
            wrong.append(f"{words}: leaves {set(after) ^ set(before)}"[:300])
            before = after
    assert not wrong, "\n".join(wrong)
    assert len(BROKEN) > 200


CONTRADICTORY = (
    ("run demo --no-prune --prune board", "--prune and --no-prune contradict each other"),
    ("run demo --executor in-process --at-once 2", "one trial after the other"),
    ("run demo --executor in-process --address auto", "leave one out"),
    ("run demo --race-reference --no-reference", "contradict each other"),
    ("tune adamw lm-toy-v2 --at-once 3 --executor in-process", "one trial after the other"),
    ("new x.py --torch --jax", "--torch or --jax, not both"),
    ("new --workload digits --jax", "a family in both frameworks"),
    ("new --workload --repository x", "not both"),
    ("check adamw -w lm-toy-v2 --quick", "-w or --quick, not both"),
    ("set-targets lm-toy-v2 --adopt -o targets", "-o or --adopt, not both"),
    ("set-targets lm-toy-v2 --from-base --from-log run.yaml", "not both"),
    ("score run --format trials --clock steps", "--clock needs a board"),
    ("score run --format trials --protocol gradathlon", "--protocol needs a board"),
)


@pytest.mark.parametrize(("line", "told"), CONTRADICTORY, ids=[line for line, _ in CONTRADICTORY])
def test_options_that_contradict_each_other_are_refused(
    line: str, told: str, fake: Any, invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text("{}")
    before = sorted(Path().rglob("*"))
    result = invoke(*line.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr.splitlines()[-1]
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("name", ["score", "run", "watch", "new", "lifelong"])
def test_a_line_break_is_told_in_one_line(name: str, fake: Any, invoke: Invoke) -> None:
    result = invoke(name, "a\nb")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == r"Error: 'a\nb' holds a line break"


LONG = "a" * 300
READ = [
    *(["gate", "run", "--baseline"], ["score", "run", "--costs"]),
    ["set-targets", "lm-toy-v2", "--from-log"],
]


@pytest.mark.parametrize("words", [*READ, ["run"], ["check"]], ids=lambda words: words[0])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "long", "binary"])
def test_what_a_command_reads_is_a_file_of_text(
    words: list[str], kind: str, invoke: Invoke, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run").add("lm-toy-v2", "adamw", [20.0])
    words = [str(run.folder) if word == "run" and word != words[0] else word for word in words]
    path = tmp_path / (f"{LONG}.py" if kind == "long" else "some.py")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "binary":
        path.write_bytes(bytes(range(256)))
    elif kind == "folder":
        path.mkdir()
    result = invoke(*words, str(path))
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1 or "Usage" in result.stderr


@pytest.mark.parametrize(
    "name", ["score", "report", "validate", "verify", "export", "watch", "lifelong", "publish"]
)
@pytest.mark.parametrize("path", [LONG, "a/" * 3000], ids=["name", "path"])
def test_a_name_that_no_file_can_have_is_one_line(name: str, path: str, invoke: Invoke) -> None:
    result = invoke(name, path, *(["-o", "out.csv"] if name == "export" else []))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


KEYS = [*GOOD, "trials", "clock", "seed", "budget_factor", "resources", "points", "points_on"]


@settings(max_examples=100, suppress_health_check=QUIET, derandomize=True)
@given(changes=st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=3))
def test_no_suite_ends_in_a_traceback(changes: dict[str, Any], raced: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(written(**changes))
    result = CliRunner().invoke(main, ["run", str(path), "--dry-run"], prog_name="gradathlon")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (0, 2)
