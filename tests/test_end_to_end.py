"""The whole of it, as a user runs it: real data, real Ray, both frameworks, the console command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

import workloads
from scoring.records import Record, read_run
from scoring.times import time_to_result

from .conftest import Gradathlon, console_script

pytestmark = pytest.mark.network

MY_OPT = """\
import torch

SEARCH_SPACE = {"lr": {"min": 1e-3, "max": 1e-2, "scaling": "log"}}


def submission(params, lr=3e-3):
    return torch.optim.AdamW(params, lr=lr)
"""
SUITE = """\
title: a short race
workloads: [homeostatic-toy-v3]
submissions: [{submissions}]
ruleset: self
studies: 1
clock: {clock}
budget_factor: {factor}
"""
# What the reference reaches in a second or two; homeostatic's target would have to hold.
EASY = """\
targets:
  lifelong-toy-v3:
    {target: 0.3, steps: 1000, seconds: 20.0, reference: {lr: 0.004, weight_decay: 0.0002}}
"""


def write_suite(
    folder: Path, *submissions: str, clock: str = "steps", factor: float = 0.125
) -> None:
    text = SUITE.format(submissions=", ".join(submissions), clock=clock, factor=factor)
    (folder / "short.yaml").write_text(text)


def evaluations(record: Record) -> list[tuple[int, dict[str, float]]]:
    return [(e.steps, dict(e.metrics)) for e in record.evaluations]


def test_from_a_ten_line_file_to_a_leaderboard_and_a_page(
    tmp_path: Path, gradathlon: Gradathlon
) -> None:
    # In a folder with packages of the same names as ours.
    for name in ("submissions", "workloads"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the wrong package')\n")
    assert len(MY_OPT.splitlines()) <= 10
    (tmp_path / "my_opt.py").write_text(MY_OPT)
    write_suite(tmp_path, "./my_opt.py", "adamw_jax", clock="wall", factor=1.0)
    suite = tmp_path / "short.yaml"
    suite.write_text(suite.read_text().replace("homeostatic-toy-v3", "lifelong-toy-v3") + EASY)

    run = gradathlon("run", "short.yaml", "-o", "first")
    assert run.code == 0, run.err
    records = {r.header.submission: r for r in read_run(tmp_path / "first")}
    assert set(records) == {"my_opt", "adamw_jax", "reference-torch", "reference-jax"}
    assert records["reference-jax"].outcome.end == "reached"  # type: ignore[union-attr]
    for name in records:
        assert name in run.out

    score = gradathlon("score", "first", "--format", "json")
    rows = {row["submission"]: row for row in json.loads(score.out)["rows"]}
    assert rows["reference-jax"]["score"] == 1.0
    mine, reference = (
        time_to_result(records[name].header, records[name].evaluations)["wall"]
        for name in ("my_opt", "reference-torch")
    )
    expected = max(0.0, (4 - mine / reference) / 3)
    assert rows["my_opt"]["score"] == pytest.approx(expected)

    page = gradathlon("report", "first", "-o", "report.html")
    assert page.code == 0, page.err
    assert "my_opt" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_a_driver_killed_and_resumed_ends_as_if_nothing_had_happened(
    tmp_path: Path, gradathlon: Gradathlon, own_cache: Path
) -> None:
    write_suite(tmp_path, "adamw", "adamw_jax", factor=0.375)
    assert gradathlon("run", "short.yaml", "-o", "calm", "--no-reference").code == 0

    driver = subprocess.Popen(
        [console_script(), "run", "short.yaml", "-o", "hit", "--no-reference"],
        cwd=tmp_path,
        env=os.environ | {"GRADATHLON_CACHE": str(own_cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "hit").glob("trials/*/*/*.checkpoint.safetensors")):
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    cut_off = [r for r in read_run(tmp_path / "hit") if r.outcome is None]
    assert cut_off, "a trial was running when the driver was killed"

    resumed = gradathlon("run", "--resume", "-o", "hit")
    assert resumed.code == 0, resumed.err
    calm = {r.header.submission: r for r in read_run(tmp_path / "calm")}
    hit = {r.header.submission: r for r in read_run(tmp_path / "hit")}
    assert set(hit) == set(calm) == {"adamw", "adamw_jax"}
    for name, record in calm.items():
        assert evaluations(hit[name]) == evaluations(record)
        assert hit[name].outcome is not None and record.outcome is not None
        assert hit[name].outcome.steps == record.outcome.steps
    assert any(r.path.name == "study0-trial0.1.jsonl" for r in hit.values())


def test_a_broken_submission_costs_only_itself(tmp_path: Path, gradathlon: Gradathlon) -> None:
    (tmp_path / "broken.py").write_text(
        "import torch\n\n\ndef submission(params):\n    return torch.optim.SGD(params, lr='fast')\n"
    )
    write_suite(tmp_path, "./broken.py", "adamw_jax")
    run = gradathlon("run", "short.yaml", "-o", "run", "--no-reference")
    assert run.code == 1
    (line,) = [line for line in run.err.splitlines() if line.startswith("failed: ")]
    assert "broken.py:5: TypeError" in line
    ends = {r.header.submission: r.outcome.end for r in read_run(tmp_path / "run") if r.outcome}
    assert ends == {"broken": "failed", "adamw_jax": "budget"}


BAD = {
    "unknown suite": (("run", "dmeo"), "unknown suite 'dmeo'; did you mean 'demo'?"),
    "unknown submission": (("run", "demo", "-s", "prodigi"), "did you mean 'prodigy'?"),
    "unknown workload": (("run", "demo", "-w", "lm-toy-v3"), "lm-toy-v3"),
    "no such file": (("run", "demo", "-s", "./none.py"), "none.py"),
    "not a run": (("score", "nothing"), "nothing: not a run"),
    "unwritable": (("run", "demo", "-o", "/proc/run"), "/proc/run"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_exit_code_2(name: str, gradathlon: Gradathlon) -> None:
    words, expected = BAD[name]
    done = gradathlon(*words)
    assert done.code == 2
    assert done.out == ""
    (line,) = done.err.strip().splitlines()
    assert line.startswith("gradathlon: error: ")
    assert expected in line


def test_a_wrong_key_is_named_with_its_line(tmp_path: Path, gradathlon: Gradathlon) -> None:
    write_suite(tmp_path, "adamw")
    path = tmp_path / "short.yaml"
    path.write_text(path.read_text().replace("studies: 1", "studeis: 1"))
    done = gradathlon("run", "short.yaml")
    assert done.code == 2
    assert "short.yaml:5: studeis: unknown key; did you mean 'studies'?" in done.err


def test_no_network_is_one_line(tmp_path: Path, gradathlon: Gradathlon) -> None:
    unreachable = {
        "GRADATHLON_CACHE": str(tmp_path / "empty"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_NO_INDEX": "",
        "PIP_FIND_LINKS": "",
    }
    done = gradathlon("data", "fetch", "lm-toy-v2", env=unreachable)
    assert done.code == 2
    assert "the package index cannot be reached" in done.err.splitlines()[-1]


def test_check_and_new_go_together(tmp_path: Path, gradathlon: Gradathlon) -> None:
    for flag in ("--torch", "--jax"):
        name = f"mine{flag.strip('-')}.py"
        assert gradathlon("new", name, flag).code == 0
        checked = gradathlon("check", name)
        assert checked.code == 0, checked.out
        assert "a checkpoint resumes exactly" in checked.out
    assert gradathlon("new", "minetorch.py").code == 2, "never overwritten"


def test_parity_of_one_workload(gradathlon: Gradathlon) -> None:
    done = gradathlon("parity", "homeostatic-toy-v3")
    assert done.code == 0, done.out
    assert done.out.count(" ok") == 1


@pytest.mark.slow
def test_parity_of_all_toy_workloads(gradathlon: Gradathlon) -> None:
    done = gradathlon("parity")
    assert done.code == 0, done.out
    assert done.out.count(" ok") == len(workloads.families())
