"""A stranger's workload family: written by `new --workload`, installed by pip, raced like ours."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from scoring.ground.documents import ConfigError
from suite.new_family import write_family

Command = Callable[..., str]


@pytest.fixture(scope="module")
def gradathlon(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command line with the family installed beside Gradathlon."""
    home = tmp_path_factory.mktemp("home")
    folder = write_family(home / "strangers")
    # Without the index: its build back end is the one that builds Gradathlon.
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    pip = [sys.executable, "-m", "pip", "install", *options]
    subprocess.run([*pip, "--target", str(home / "site"), str(folder)], check=True)
    path = os.pathsep.join([str(home / "site"), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path}

    def command(*words: str) -> str:
        code = "from suite.cli import main; main(prog_name='gradathlon')"
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            capture_output=True, text=True, env=environment, cwd=home,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return command


@pytest.mark.network
def test_it_is_listed_shown_and_passes_what_ours_are_asked(gradathlon: Command) -> None:
    assert "strangers-toy-v1+wide" in gradathlon("list", "workloads")
    assert "one hidden layer" in gradathlon("show", "strangers-toy-v1")
    told = gradathlon("check", "strangers-toy-v1").splitlines()
    assert len(told) == 8
    assert all(line.startswith("ok ") for line in told), told


@pytest.mark.network
@pytest.mark.slow
def test_it_races_like_ours(gradathlon: Command, tmp_path: Path) -> None:
    assert "ok" in gradathlon("parity", "strangers-toy-v1")
    assert "test/accuracy" in gradathlon("try", "strangers-toy-v1", "adamw_jax", "--steps", "200")
    suite = {
        "title": "theirs",
        "ruleset": "self",
        "workloads": ["strangers-toy-v1", "strangers-toy-v1+wide"],
        "submissions": ["adamw", "sgd"],
        "studies": 1,
        "clock": "steps",
        "budget_factor": 0.2,
        "targets": {"strangers-toy-v1": {"target": 0.85, "steps": 2000, "seconds": 60}},
    }
    (tmp_path / "theirs.yaml").write_text(yaml.safe_dump(suite))
    told = gradathlon("run", str(tmp_path / "theirs.yaml"), "-o", str(tmp_path / "race"))
    assert "strangers-toy-v1+wide has no target; highest validation/accuracy" in told
    assert "adamw (torch)" in told
    board = gradathlon("score", str(tmp_path / "race"), "--format", "csv")
    rows = csv.DictReader(board.splitlines())
    assert {row["workload"] for row in rows} == {"strangers-toy-v1"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Digits", "is not a family name"),
        ("class", "is not a family name"),
        ("lm", "workload family 'lm' exists already"),
        ("json", "'json' is an installed Python package"),
        ("taken", "exists; choose another folder"),
    ],
)
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(ConfigError, match=told):
        write_family(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_the_command_says_what_comes_next(
    invoke: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = invoke("new", "--workload", "strangers")
    assert found.exit_code == 0
    assert found.stdout == "strangers\n"
    assert "pip install -e strangers && gradathlon check strangers-toy-v1" in found.stderr
    assert 'strangers = "strangers.workload:FAMILY"' in Path("strangers/pyproject.toml").read_text()
