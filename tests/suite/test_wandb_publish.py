"""`gradathlon publish`: the board as a W&B run, read back from the file that W&B leaves."""

from __future__ import annotations

import errno
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scoring import board
from scoring.board import Board
from scoring.frame import gather
from scoring.ground.words import Target
from scoring.report.heatmap import heatmap_svg
from suite.wandb_board.layout import MISSING, report_on, save_layout
from suite.wandb_board.publish import Published, curves, fastest, trial_rows
from tests.scoring.conftest import Run
from tests.scoring.page_race import race
from tests.suite.wandb_files import kept_in
from tests.suite.wandb_server import KEY, Mood, serving

Invoke = Callable[..., Any]
PATIENCE_S = 120.0
"""Far beyond what is waited for a server: so long that only a hang takes it."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_account: None) -> Path:
    monkeypatch.chdir(tmp_path)
    return race(Path("first"), studies=2, evaluations=12)


@pytest.fixture
def computed(run: Path) -> Board:
    return board.compute([run])


def media(run: Path, name: str) -> Any:
    (path,) = run.glob(f"wandb/*run-*/files/media/*/{name}_0_*")
    text = path.read_text()
    return json.loads(text) if path.suffix == ".json" else text


def test_all_is_kept_without_a_key(run: Path, invoke: Invoke, computed: Board) -> None:
    result = invoke("publish", str(run), "--wandb-project", "races")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.endswith("sync with:\n  (cd first && wandb sync --yes)\n")
    (kept,) = kept_in(run).values()
    assert (kept.project, kept.job_type, kept.exit_code) == ("races", "leaderboard", 0)
    assert kept.tags[:3] == ("leaderboard", "gradathlon", f"clock {computed.clock}")
    assert kept.config["workloads"] == list(computed.workloads)
    assert_board(media(run, "board"), computed)
    for row in computed.rows:
        assert kept.summary[f"score/{row.submission}"] == pytest.approx(row.score)
    shown = media(run, "page")
    assert shown.startswith("<!doctype html>") and "Leaderboard" in shown
    for name in ("board", "profiles", "ratios", *computed.workloads):
        assert media(run, f"pictures/{name}").startswith("<svg")
    lines = media(run, "profiles_table")["data"]
    assert {line[1] for line in lines} == {row.submission for row in computed.rows}
    records = {path.relative_to(run).as_posix() for path in run.glob("trials/*/*/*.jsonl")}
    assert kept.artifacts["records-first"].keys() == {*records, "run.yaml"}


def assert_board(table: dict[str, Any], computed: Board) -> None:
    rows = [dict(zip(table["columns"], line, strict=True)) for line in table["data"]]
    assert [row["submission"] for row in rows] == [row.submission for row in computed.rows]
    for row, own in zip(rows, computed.rows, strict=True):
        assert row["score"] == pytest.approx(own.score)
        assert row["P(best)"] == (None if own.p_best is None else pytest.approx(own.p_best))
        assert (row["rank"] == "ref") == own.is_reference
        if own.interval is not None:
            assert [row["score low"], row["score high"]] == pytest.approx(list(own.interval))
        for name, cell in own.cells.items():
            ratio = row[f"{name}: ratio"]
            assert ratio == (pytest.approx(cell.ratio) if math.isfinite(cell.ratio) else None)


def test_a_server_gets_it_and_the_key_is_written_nowhere(
    run: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serving("well") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        result = invoke("publish", str(run))
    assert result.exit_code == 0
    assert f"W&B: {server.url}/me/gradathlon\n" in result.stderr
    assert "W&B: no report is saved" in result.stderr or "report could not" in result.stderr
    assert [one["displayName"] for one in server.runs.values()] == ["board of first"]
    assert "records" in {given["artifactTypeName"] for given in server.artifacts}
    files = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in result.output


@pytest.mark.parametrize(
    "mood",
    [
        "errors",
        "falls silent",
        pytest.param("closes", marks=pytest.mark.slow),
        pytest.param("silent", marks=pytest.mark.slow),
    ],
)
def test_an_ill_server_is_told_in_a_line_and_all_is_kept_here(
    mood: Mood, run: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    with serving(mood) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        result = invoke("publish", str(run))
    assert time.monotonic() - began < PATIENCE_S
    assert (result.exit_code, result.stdout) == (0, "")
    *first, told, line = result.stderr.splitlines()
    assert told.startswith("W&B: ") and told.endswith("1 kept here; sync with:")
    assert line == "  (cd first && wandb sync --yes)"
    assert all(one.startswith("W&B: ") for one in first), first
    assert len(kept_in(run)) == 1


WORDS = {
    "WANDB_INIT_TIMEOUT": "soon",
    "WANDB_FINISH_TIMEOUT": "-1",
    "WANDB_MODE": "sometimes",
    "WANDB_BASE_URL": "nowhere",
    "WANDB_SILENT": "perhaps",
}


@pytest.mark.parametrize("name", WORDS)
def test_words_for_wandb_that_it_does_not_know_are_told_in_a_line(
    name: str, run: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(run.rglob("*"))
    monkeypatch.setenv(name, WORDS[name])
    result = invoke("publish", str(run))
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert WORDS[name] in line
    assert sorted(run.rglob("*")) == before


def test_what_cannot_be_logged_is_told_in_a_line_and_leaves_nothing(
    run: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = sorted(run.rglob("*"))
    monkeypatch.setattr("suite.wandb_board.publish._contents", full)
    result = invoke("publish", str(run))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == (
        "gradathlon: error: W&B: [Errno 28] No space left on device"
    )
    assert [path for path in sorted(run.rglob("*")) if path not in before] == []


def test_records_that_cannot_be_sent_are_told_and_the_rest_is_published(
    run: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, computed: Board
) -> None:
    def refuse(*given: object) -> None:
        raise RuntimeError("no room\nfor artifacts")

    monkeypatch.setattr("suite.wandb_board.publish._log_records", refuse)
    result = invoke("publish", str(run))
    assert result.exit_code == 0
    told = "W&B: the records were not published: no room"
    assert result.stderr.splitlines()[0] == told
    assert_board(media(run, "board"), computed)


def test_without_the_extra_one_line_tells_so(
    computed: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    said: list[str] = []
    save_layout("us", "races", "first", computed, said.append)
    assert said == [MISSING]


def test_the_report_has_a_section_for_every_workload(computed: Board) -> None:
    pytest.importorskip("wandb_workspaces")
    report = report_on("us", "races", "first", computed)
    heads = [block.text for block in report.blocks if hasattr(block, "text")]
    assert heads == ["Leaderboard", *computed.workloads]


def test_curves_are_each_submissions_fastest_trial(run: Path, computed: Board) -> None:
    published = Published([run], computed, gather([run]).records, "")
    for id in computed.workloads:
        lines = curves(fastest(published, id), computed.clock)
        assert lines.keys() == {row.submission for row in computed.rows}
        assert all(xs == sorted(xs) and len(xs) == len(ys) for xs, ys in lines.values())


def test_at_equal_budget_the_best_trials_are_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_account: None, invoke: Invoke
) -> None:
    import wandb

    titles, draw = [], wandb.plot.line_series

    def noted(*lines: Any, **words: Any) -> Any:
        titles.append(words["title"])
        return draw(*lines, **words)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(wandb.plot, "line_series", noted)
    run = Run(Path("open"))
    run.add(
        "lm-toy-v2", "adamw", [math.inf, math.inf], target=Target("validation/loss", "min", None)
    )
    assert invoke("publish", "open").exit_code == 0
    assert titles == ["lm-toy-v2: each submission's best trial"]
    assert ">adamw</text>" in media(run.folder, "pictures/lm-toy-v2")


def test_every_trial_has_a_row(run: Path) -> None:
    records = gather([run]).records
    head, rows = trial_rows(records)
    assert len(rows) == len(records) and {len(row) for row in rows} == {len(head)}
    assert all(math.isfinite(one) for row in rows for one in row if isinstance(one, float))


def test_the_heat_map_tells_every_ratio(computed: Board) -> None:
    svg = heatmap_svg(computed)
    for row in computed.rows:
        for cell in row.cells.values():
            assert (f"×{cell.ratio:.2f}" if math.isfinite(cell.ratio) else "missed") in svg


def test_a_run_that_is_none_is_one_line(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("publish", "nothing")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
