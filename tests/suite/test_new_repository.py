"""`gradathlon new --repository`: its files, and the steps of its workflow run as a shell would."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Invoke = Callable[..., Any]
STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$1" in run) mkdir -p "$OUTPUT" ;; score) echo "{}" ;; esac
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoke) -> Path:
    monkeypatch.chdir(tmp_path)
    result = invoke("new", "--repository", "my-opt", "--jax")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "my-opt\n"
    return tmp_path / "my-opt"


def test_it_has_all_that_a_submission_needs(folder: Path) -> None:
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {
        *("README.md", "my_opt.py", "requirements.txt", ".gitignore"),
        ".github/workflows/gradathlon.yml",
        ".github/actions/gradathlon/action.yml",
        ".github/actions/gradathlon/race.sh",
    }
    assert "import optax" in (folder / "my_opt.py").read_text()
    assert (folder / "requirements.txt").read_text().startswith("gradathlon")
    assert "NAME" not in "".join(path.read_text() for path in folder.rglob("*.md"))
    assert os.access(folder / ".github/actions/gradathlon/race.sh", os.X_OK)


def test_nothing_is_overwritten_and_a_bad_name_is_told(folder: Path, invoke: Invoke) -> None:
    assert "exists" in invoke("new", "--repository", "my-opt").stderr
    result = invoke("new", "--repository", "9 lives")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert not (folder.parent / "9 lives").exists()


def test_the_workflows_steps_run(folder: Path, tmp_path: Path) -> None:
    """Each `run` as it stands, and the local action's with its inputs, by stand-in commands."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("pip", "gradathlon"):
        (tools / name).write_text(STAND_IN)
        (tools / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "CALLS": str(tmp_path / "calls"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }
    workflow = yaml.safe_load((folder / ".github/workflows/gradathlon.yml").read_text())
    for step in workflow["jobs"]["race"]["steps"]:
        if "run" in step:
            subprocess.run(step["run"], shell=True, cwd=folder, env=environment, check=True)
        elif step["uses"].startswith("./"):
            _use(folder, folder / step["uses"], step["with"], environment)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0].startswith("pip install ")
    assert calls[1] == "gradathlon check my_opt.py"
    assert calls[2] == ("gradathlon run ci -s my_opt.py -s nadamw -s nadamw_jax -o gradathlon-run")
    assert [call.split()[1] for call in calls[3:]] == ["score", "score", "report"]
    summary = (tmp_path / "summary.md").read_text()
    assert "{}" in summary
    assert "scores.json not found: nothing was compared." in summary


def _use(folder: Path, action: Path, given: dict[str, str], environment: dict[str, str]) -> None:
    """A composite action's steps with `run`, its inputs filled in."""
    stated = yaml.safe_load((action / "action.yml").read_text())
    inputs = {name: one.get("default", "") for name, one in stated["inputs"].items()} | given
    assert inputs.keys() == stated["inputs"].keys()

    def filled(text: str) -> str:
        for name, value in inputs.items():
            text = text.replace(f"${{{{ inputs.{name} }}}}", value)
        return text.replace("${{ github.action_path }}", str(action))

    for step in stated["runs"]["steps"]:
        if "run" in step:
            own = {name: filled(value) for name, value in step["env"].items()}
            subprocess.run(
                filled(step["run"]), shell=True, cwd=folder, env={**environment, **own}, check=True
            )
