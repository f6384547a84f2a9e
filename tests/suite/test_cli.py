from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

import workloads
from submissions import source
from suite.cli import COMMANDS, SECTIONS, main
from suite.neighbours import PACKAGES, intruder
from workloads.config import ID

Invoke = Callable[..., Any]
ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "jax", "optax", "ray", "wandb", "pandas", "scipy", "numpy", "rich", "pydantic")
ENGINES = ("torch", "jax", "optax", "ray", "wandb")
READERS = ("score", "report", "compare", "export", "publish", "gate", "validate", "verify")


def command_line(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


def gradathlon(*words: str) -> subprocess.CompletedProcess[str]:
    return command_line("from suite.cli import main; main(prog_name='gradathlon')", *words)


@pytest.mark.parametrize(
    ("words", "unloaded"),
    [
        (["--help"], HEAVY),
        (["data", "--help"], ENGINES),
        *[([name, "--help"], HEAVY) for name in READERS],
        *[([name, "--help"], ENGINES) for name in ("run", "try", "check")],
    ],
)
def test_help_loads_nothing_heavy(words: list[str], unloaded: tuple[str, ...]) -> None:
    code = (
        "import json, sys\nfrom suite.cli import main\n"
        "try:\n    main(prog_name='gradathlon')\n"
        "finally:\n    print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = command_line(code, *words)
    assert done.returncode == 0
    assert "Usage: gradathlon" in done.stdout
    loaded = set(json.loads(done.stderr))
    assert loaded.isdisjoint(unloaded), loaded.intersection(unloaded)


def test_every_command_has_one_line_of_help_which_is_its_own() -> None:
    for name, (_, line) in COMMANDS.items():
        command = main.get_command(click.Context(main), name)
        assert command is not None
        assert command.name == name
        assert (command.help or "").startswith(line.rstrip("."))


def test_a_neighbour_that_took_a_package_is_named(
    tmp_path: Path,
) -> None:
    assert intruder() is None
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name)
    code = "from suite.cli import main; main(prog_name='gradathlon')"
    clean = {"cwd": tmp_path, "capture_output": True, "text": True, "check": False}
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    (tmp_path / "cluster" / "__init__.py").write_text('"""Clusters of points."""\n')
    words = [sys.executable, "-c", code, "list", "suites"]
    done = subprocess.run(words, env=environment, **clean)  # type: ignore[call-overload]
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gradathlon: error: package 'cluster' is not Gradathlon's")
    assert done.stderr.count("\n") == 1


def test_the_help_shows_every_command_and_an_example(invoke: Invoke) -> None:
    text = invoke("--help").stdout
    assert [title for title in SECTIONS if f"\n{title}:\n" not in text] == []
    for name in COMMANDS:
        assert f"\n  {name} " in text
        help_text = invoke(name, "--help").stdout
        assert name == "data" or f"gradathlon {name}" in help_text.split("Options:")[0]


def test_every_example_of_the_help_is_a_command_line_that_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs" / "external_tuning").mkdir(parents=True)
    examples = [
        shlex.split(line.split(" > ")[0])[1:]
        for command in every_command()
        for line in map(str.strip, (command.help or "").splitlines())
        if line.startswith("gradathlon ")
    ]
    assert len(examples) > 60
    for name, *words in examples:
        command = main.get_command(click.Context(main), name)
        assert command is not None, name
        if isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        command.make_context(name, list(words))  # raises where an option or a value is wrong
        for id in filter(ID.fullmatch, words):
            assert id in workloads.ids() or id.startswith("digits-"), words


def every_command() -> Iterator[click.Command]:
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        yield command
        if isinstance(command, click.Group):
            yield from command.commands.values()


def test_a_users_error_is_one_line_without_traceback() -> None:
    done = gradathlon("show", "lm-toy")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == ("gradathlon: error: unknown name 'lm-toy'; did you mean 'lm-toy-v2'?\n")


@pytest.mark.parametrize("words", [["--help"], ["list", "suites"]])
def test_output_that_cannot_be_written_is_told_in_one_line(words: list[str]) -> None:
    code = "from suite.cli import main; main(prog_name='gradathlon')"
    for path, exit_code, told in (
        (
            "/dev/full",
            2,
            "gradathlon: error: the output cannot be written: No space left on device\n",
        ),
        ("", 1, ""),  # who reads no further, as `head` does, wants no word more
    ):
        reading, writing = os.pipe()
        os.close(reading)
        output = os.open(path, os.O_WRONLY) if path else writing
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (exit_code, told)
        os.close(writing)
        if path:
            os.close(output)


@pytest.mark.parametrize("words", [["new", "mine.py"], ["run", "ci", "-o", "out", "-s", "sgd"]])
@pytest.mark.network
def test_a_disk_that_is_full_leaves_nothing_behind(words: list[str], tmp_path: Path) -> None:
    """As a limit on the size of files has it, which is met where a full disk is."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (99, 99))\n"
        "from suite.cli import main; main(prog_name='gradathlon')"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"{words[1 if words[0] == 'new' else 3]}: cannot be written: " in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_command_or_option_is_answered_with_the_nearest() -> None:
    done = gradathlon("scroe", "runs/x")
    assert done.returncode == 2
    assert "Did you mean 'score'?" in done.stderr
    done = gradathlon("run", "demo", "--resum")
    assert done.returncode == 2
    assert "--resume" in done.stderr


def test_lists_hold_everything(invoke: Invoke) -> None:
    listed = invoke("list", "workloads").stdout.splitlines()[1:]
    assert [line.split()[0] for line in listed] == workloads.ids()
    listed = invoke("list", "submissions").stdout.splitlines()[1:]
    assert [line.split()[0] for line in listed][: len(source.shipped())] == source.shipped()
    assert "demo" in invoke("list", "suites").stdout
    nothing = invoke("list", "submissions", "--like", "muo")
    assert (nothing.exit_code, nothing.stdout) == (2, "")
    assert nothing.stderr.endswith("match 'muo'; use * as a wildcard: '*muo*'\n")


def test_one_package_that_cannot_race_is_listed_with_its_reason(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = [EntryPoint(name, "their_pkg.gone", source.GROUP) for name in ("gone", "sgd")]
    monkeypatch.setattr(source, "_entry_points", lambda: offered)
    listed = {line.split()[0]: line for line in invoke("list", "submissions").stdout.splitlines()}
    assert len(listed) == 1 + len(source.shipped()) + 1
    assert "no source file for the module 'their_pkg.gone'" in listed["gone"]
    assert "sgd: provided by Gradathlon itself and the package" in listed["sgd"]
    assert "cannot race" not in listed["adamw"]


@pytest.mark.parametrize("id", workloads.ids())
def test_every_workload_can_be_shown(id: str, invoke: Invoke) -> None:
    text = invoke("show", id).stdout
    assert text.startswith(f"workload: {id}\n")
    assert "batch_size: " in text


def test_a_raced_workload_shows_its_target(raced: Any, invoke: Invoke) -> None:
    text = invoke("show", "lm-toy-v2").stdout
    assert "target: 2.5\n" in text
    assert "steps: 400\n" in text
    assert "submission: nadamw\n" in text


def test_submissions_and_suites_can_be_shown(invoke: Invoke, tmp_path: Path) -> None:
    assert "framework  torch" in invoke("show", "adamw").stdout
    assert "ruleset: self\n" in invoke("show", "demo").stdout
    (tmp_path / "mine.py").write_text('"""Mine."""\ndef submission(lr=0.5): ...\n')
    assert "lr = 0.5" in invoke("show", str(tmp_path / "mine.py")).stdout


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_new_writes_a_submission_that_is_one(
    framework: str, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("new", "my_opt.py", f"--{framework}")
    assert (result.exit_code, result.stdout) == (0, "my_opt.py\n")
    assert source.find("./my_opt.py").framework == framework
    before = Path("my_opt.py").read_text()
    again = invoke("new", "my_opt.py", "--torch")
    assert again.exit_code == 2
    assert again.stderr == (
        "gradathlon: error: my_opt.py: exists; choose another file, or delete it first\n"
    )
    assert Path("my_opt.py").read_text() == before
    assert invoke("new", "my_opt").stderr == (
        "gradathlon: error: my_opt: a submission is a Python file; name it my_opt.py\n"
    )
    assert "cannot be written: No such file" in invoke("new", "none/my_opt.py").stderr


def test_score_of_no_run_is_bad_input(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("score", str(tmp_path))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"gradathlon: error: {tmp_path}: not a run")


@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown"])
def test_score_writes_every_form(form: str, fake: Any, invoke: Invoke) -> None:
    invoke("run", "demo", "-o", "out")
    result = invoke("score", "out", "--format", form, "--protocol", "algoperf")
    assert result.exit_code == 0
    assert "adamw_jax" in result.stdout
    assert result.stdout.endswith("\n")


def test_report_writes_a_page(fake: Any, invoke: Invoke) -> None:
    pytest.importorskip("scoring.report.page")
    invoke("run", "demo", "-o", "out")
    result = invoke("report", "out", "-o", "page.html")
    assert (result.exit_code, result.stdout) == (0, "page.html\n")
    assert "adamw_jax" in Path("page.html").read_text()
    Path("file").write_text("")
    result = invoke("report", "out", "-o", "file/page.html")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


def test_check_prints_findings_and_fails_on_a_bad_one(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    conformance = pytest.importorskip("cluster.checks.conformance")
    good = SimpleNamespace(ok=True, title="returns an optimizer", detail="")
    bad = SimpleNamespace(ok=False, title="learns", detail="the loss is NaN")
    findings = [good]
    asked: list[tuple[str, list[str]]] = []

    def stand_in(found: source.Source, workload_ids: list[str]) -> list[SimpleNamespace]:
        asked.append((found.name, workload_ids))
        return findings

    monkeypatch.setattr(conformance, "check", stand_in)
    result = invoke("check", "adamw", "-w", "lm-toy-v2")
    assert (result.exit_code, result.stdout) == (0, "ok    returns an optimizer\n")
    assert asked == [("adamw", ["lm-toy-v2"])]
    findings.append(bad)
    result = invoke("check", "adamw")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1] == "FAIL  learns: the loss is NaN"


def test_parity_compares_toy_workloads_and_fails_on_a_bad_one(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cluster.checks import parity as comparison

    def stand_in(id: str, *, rows: int | None, steps: int) -> comparison.Parity:
        trained = 2e-3 if id.startswith("homeostatic") else 3e-4
        return comparison.Parity(id, 1e-7, 2e-6, "head.weight", trained, real_data=True)

    monkeypatch.setattr(comparison, "compare", stand_in)
    result = invoke("parity")
    assert result.exit_code == 1
    rows = [line.split() for line in result.stdout.splitlines()[1:]]
    assert ["lm-toy-v2", "real", "1.0e-07", "2.0e-06", "3.0e-04", "ok"] in rows
    assert [row[-1] for row in rows if row[0] == "homeostatic-toy-v3"] == ["FAIL"]
    assert {row[0] for row in rows} == {id for id in workloads.ids(variants=False) if "-toy-" in id}
    assert invoke("parity", "lm-toy-v2").exit_code == 0
    assert invoke("parity", "lm-toy-v9").exit_code == 2


def test_data_list_tells_what_is_here(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workloads.lm.data import SUMMARIES

    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path))
    monkeypatch.delenv("GRADATHLON_DATA", raising=False)
    result = invoke("data", "list")
    assert result.exit_code == 0
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("lm ")]
    assert "not fetched" in line
    SUMMARIES.path.parent.mkdir(parents=True)
    SUMMARIES.path.write_bytes(b"x" * 1_500_000)
    assert "here         1.5 MB" in invoke("data", "list").stdout
    assert "not set" in result.stderr


def test_data_list_counts_the_files_of_a_generated_archive(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workloads.climate.data import SHORT

    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path))
    SHORT.path.mkdir(parents=True)
    for name in ("1x.npy", "2x.npy"):
        (SHORT.path / name).write_bytes(b"x" * 1_000_000)
    (line,) = [line for line in invoke("data", "list").stdout.splitlines() if "slab-short" in line]
    assert line.startswith("climate ")
    assert "2.0 MB" in line


def test_data_fetch_fetches(raced: Any, invoke: Invoke) -> None:
    result = invoke("data", "fetch", "lm-toy-v2")
    assert result.exit_code == 0
    assert result.stdout == "lm-toy-v2: here\n"
    assert invoke("data", "fetch", "lm-toy-v7").exit_code == 2
