"""`gradathlon report`, and the options that it shares with `gradathlon score`."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scoring.records import Header, decode, encode, record_files
from tests.scoring.page_race import race

Invoke = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return race(Path("first"), evaluations=20)


def change(path: Path, **changes: Any) -> None:
    """Rewrite the header of a record."""
    first, rest = path.read_text().split("\n", 1)
    head = decode(first)
    assert isinstance(head, Header)
    path.write_text(f"{encode(dataclasses.replace(head, **changes))}\n{rest}")


@pytest.mark.parametrize(
    ("word", "title"),
    [
        ("board", "Leaderboard"),
        ("profiles", "Performance profiles"),
        ("lm-toy-v2", "lm-toy-v2: learning curves"),
        ("differences", "Critical differences"),
        ("bump", "Ranks by workload"),
    ],
)
def test_a_picture_is_named_after_its_word(
    word: str, title: str, run: Path, invoke: Invoke
) -> None:
    result = invoke("report", str(run), "--picture", word)
    assert (result.exit_code, result.stdout) == (0, f"{word}.svg\n")
    assert f"<title>{title}</title>" in Path(f"{word}.svg").read_text()
    assert invoke("report", str(run), "--picture", word, "-o", "x.svg").stdout == "x.svg\n"
    assert Path("x.svg").read_text() == Path(f"{word}.svg").read_text()
    assert {path.name for path in Path().iterdir()} == {"first", "x.svg", f"{word}.svg"}


@pytest.mark.parametrize(
    ("words", "needs"),
    [
        (["-o", "x.png"], "x.png: a page is HTML; name it FILE.html, or add --picture WORD"),
        (["--picture", "board", "-o", "x.html"], "x.html: a picture is SVG or PNG; name it"),
    ],
)
def test_a_page_and_a_picture_are_named_as_what_they_are(
    words: list[str], needs: str, run: Path, invoke: Invoke
) -> None:
    result = invoke("report", str(run), *words)
    assert (result.exit_code, result.stdout) == (2, "") and needs in result.stderr
    assert {path.name for path in Path().iterdir()} == {"first"}


def test_an_unknown_picture_is_answered_with_the_nearest(run: Path, invoke: Invoke) -> None:
    result = invoke("report", str(run), "--picture", "lm-toy")
    assert result.exit_code == 2
    assert result.stderr == (
        "gradathlon: error: --picture: unknown picture 'lm-toy'; did you mean 'lm-toy-v2'?\n"
    )
    assert invoke("report", str(run), "--picture", "").stderr.endswith(
        "''; known: board, bump, differences, homeostatic-toy-v3, lm-toy-v2, profiles, ratios\n"
    )
    assert [path.name for path in Path().iterdir()] == ["first"]


def test_a_page_is_still_the_default(run: Path, invoke: Invoke) -> None:
    assert invoke("report", str(run)).stdout == "report.html\n"
    assert Path("report.html").read_text().startswith("<!doctype html>")


def test_score_and_report_take_the_same_options(invoke: Invoke) -> None:
    def options(command: str) -> set[str]:
        return set(re.findall(r"^  (?:-., )?(--[a-z-]+)", invoke(command, "-h").stdout, re.M))

    assert options("score") - options("report") == {"--costs", "--format", "--more"}
    assert options("report") - options("score") == {"--output", "--picture"}
    assert {"--across-frameworks", "--mix-hardware", "--held-out"} <= options("report")


def test_scores_across_frameworks_are_the_same_in_both(run: Path, invoke: Invoke) -> None:
    words = [str(run), "--across-frameworks"]
    board = invoke("score", *words, "--format", "csv").stdout
    scores = {row["submission"]: row["score"] for row in csv.DictReader(io.StringIO(board))}
    assert invoke("report", *words, "--picture", "board").exit_code == 0
    picture = Path("board.svg").read_text()
    for name, score in scores.items():
        assert f"{name} {float(score):.3f}" in picture
    assert float(scores["reference-torch"]) < 1.0


def test_unequal_hardware_is_compared_only_when_asked(run: Path, invoke: Invoke) -> None:
    change(next(record_files(run)), hardware={"cpu": "Other CPU", "digest": "other"})
    result = invoke("report", str(run))
    assert result.exit_code == 2
    assert "--mix-hardware" in result.stderr
    assert not Path("report.html").exists()
    assert invoke("report", str(run), "--mix-hardware").exit_code == 0
    assert "Other CPU" in Path("report.html").read_text()


def test_held_out_variants_decide_on_the_page_too(run: Path, invoke: Invoke) -> None:
    for path in list(record_files(run)):
        variant = Path(*(part.replace("lm-toy-v2", "lm-toy-v2+x") for part in path.parts))
        if variant != path:
            variant.parent.mkdir(parents=True, exist_ok=True)
            variant.write_bytes(path.read_bytes())
            change(variant, workload="lm-toy-v2+x")
    words = ["report", str(run), "--protocol", "algoperf", "--held-out"]
    assert invoke(*words).exit_code == 0
    assert "lm-toy-v2 counts only where lm-toy-v2+x is also met" in Path("report.html").read_text()
    result = invoke(*words, "--picture", "lm-toy-v2+x")
    assert (result.exit_code, result.stdout) == (0, "lm-toy-v2+x.svg\n")
