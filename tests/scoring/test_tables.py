from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.board import Board, Cell, Row, compute
from scoring.report import tables
from scoring.report.heatmap import heatmap_svg, ratio_text
from scoring.report.page_tables import board_table
from scoring.report.palette import styles
from tests.scoring.conftest import Run

LM, SHIFT = "lm-toy-v2", "homeostatic-toy-v3"


def cells(*times: float) -> dict[str, Cell]:
    found = {}
    for workload, time in zip((LM, SHIFT), times, strict=True):
        studies = (time, time + 1, math.inf)
        trials = 0 if math.isnan(time) else 3
        time = math.inf if math.isnan(time) else time
        found[workload] = Cell(workload, time, time / 10, studies, 2, trials)
    return found


BEST_TOLD = (
    "none of a|b, c is significantly the best; every other submission is significantly worse "
    "than another one"
)


@pytest.fixture
def board() -> Board:
    rows = (
        Row(1, 2, 0.75, "a|b", "torch", 1.0625, (1.0, 1.125), cells(5.0, 12.25), False),
        Row(1, 2, None, "c", "jax", 1.0, None, cells(1234.5, 0.5), False),
        Row(0, 0, None, "reference-jax", "jax", 1.0, (1.0, 1.0), cells(10.0, 10.0), True),
        Row(3, 3, 0.0, "d", "torch", 0.0, (0.0, 0.0), cells(math.inf, math.nan), False),
    )
    return Board("gradathlon", "wall", (LM, SHIFT), rows, ("d has no trial on it",))


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (0.123, "0.123 s"),
        (99.96, "100 s"),
        (999.4, "999 s"),
        (999.7, "1,000 s"),
        (1e5, "100,000 s"),
    ],
)
def test_seconds_are_plain_numbers(time: float, text: str) -> None:
    assert tables.time_text(time, "wall") == text


@pytest.mark.parametrize(
    ("chance", "text"),
    [(0.0, "0 %"), (0.001, "<1 %"), (0.42, "42 %"), (0.9996, ">99 %"), (1.0, "100 %"), (None, "")],
)
def test_nearly_always_is_not_always(board: Board, chance: float | None, text: str) -> None:
    assert tables.chance_text(dataclasses.replace(board.rows[0], p_best=chance)) == text
    assert chance is None or tables.share_text(chance) == text


def test_a_column_without_common_seconds_is_sorted_by_ratio(board: Board) -> None:
    keys = re.compile(r'data-v="([^"]*)">(?:<strong>)?(?:[\d.,]+ s|×[\d.]+)')
    looks = styles(row.submission for row in board.rows)
    plain = keys.findall(board_table(board, looks))
    assert plain == ["5", "12.25", "1234.5", "0.5", "10", "10"]
    (row, *others) = board.rows
    cell = dataclasses.replace(row.cells[LM], time=math.nan)
    merged = dataclasses.replace(row, cells={**row.cells, LM: cell})
    told = board_table(dataclasses.replace(board, rows=(merged, *others)), looks)
    assert keys.findall(told) == ["0.5", "12.25", "123.45", "0.5", "1", "10"]


def test_a_time_that_the_protocol_does_not_count_is_void(board: Board) -> None:
    cell = board.rows[0].cells[LM]
    void = dataclasses.replace(cell, ratio=math.inf)
    missed, none = (dataclasses.replace(void, time=math.inf, trials=n) for n in (3, 0))
    assert [ratio_text(one) for one in (cell, void, missed, none)] == [
        *("×0.50", "void", "missed", "not run"),
    ]
    drawn = heatmap_svg(dataclasses.replace(board, rows=(board.rows[0],)))
    assert "a|b: lm-toy-v2 ×0.50, homeostatic-toy-v3 ×1.23" in drawn


def test_markdown(board: Board) -> None:
    assert tables.markdown(board) == (
        "**gradathlon score, time-to-result in wall-clock seconds**\n\n"
        "| rank | submission | framework | score | 95 % | P(best) "
        "| lm-toy-v2 | homeostatic-toy-v3 |\n"
        "| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| 1–2 | a\\|b | torch | 1.062 | 1.000–1.125 | 75 % | 5 s 2/3 | 12.2 s 2/3 |\n"
        "| 1–2 | c | jax | 1.000 |  |  | 1,234 s 2/3 | 0.5 s 2/3 |\n"
        "| ref | reference-jax | jax | 1.000 | 1.000–1.000 |  | 10 s 2/3 | 10 s 2/3 |\n"
        "| 3 | d | torch | 0.000 | 0.000–0.000 | 0 % | — 2/3 | — |\n\n"
        f"- {tables.TRIALS_TOLD}\n- {BEST_TOLD}\n- {tables.RANKS_TOLD}\n- {tables.CHANCE_TOLD}\n"
        "- d has no trial on it\n"
    )


def test_terminal(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "0")
    assert tables.terminal(board).splitlines() == [
        "gradathlon score, time-to-result in wall-clock seconds",
        "                                                                     lm-  homeostatic-",
        "rank  submission     framework  score         95 %  P(best)       toy-v2        toy-v3",
        "──────────────────────────────────────────────────────────────────────────────────────",
        " 1–2  a|b            torch      1.062  1.000–1.125     75 %      5 s 2/3    12.2 s 2/3",
        " 1–2  c              jax        1.000                        1,234 s 2/3     0.5 s 2/3",
        " ref  reference-jax  jax        1.000  1.000–1.000              10 s 2/3      10 s 2/3",
        "   3  d              torch      0.000  0.000–0.000      0 %        — 2/3             —",
        f"- {tables.TRIALS_TOLD}",
        f"- {BEST_TOLD}",
        f"- {tables.RANKS_TOLD}",
        f"- {tables.CHANCE_TOLD}",
        "- d has no trial on it",
    ]


def test_where_the_board_is_too_wide_workloads_follow_the_scores(board: Board) -> None:
    assert tables.terminal(board, width=80).splitlines() == [
        "gradathlon score, time-to-result in wall-clock seconds",
        "rank  submission     framework  score         95 %  P(best)",
        "───────────────────────────────────────────────────────────",
        " 1–2  a|b            torch      1.062  1.000–1.125     75 %",
        " 1–2  c              jax        1.000                      ",
        " ref  reference-jax  jax        1.000  1.000–1.000         ",
        "   3  d              torch      0.000  0.000–0.000      0 %",
        "",
        "                       lm-  homeostatic-",
        "submission          toy-v2        toy-v3",
        "────────────────────────────────────────",
        "a|b                5 s 2/3    12.2 s 2/3",
        "c              1,234 s 2/3     0.5 s 2/3",
        "reference-jax     10 s 2/3      10 s 2/3",
        "d                    — 2/3             —",
        "- 2/3 after a time: 2 of 3 trials met the target; —: half or more of the studies",
        "  missed it, or none was run",
        "- none of a|b, c is significantly the best; every other submission is",
        "  significantly worse than another one",
        f"- {tables.RANKS_TOLD}",
        f"- {tables.CHANCE_TOLD}",
        "- d has no trial on it",
    ]


@pytest.mark.parametrize(
    ("ranks", "told"),
    [
        ([(1, 1), (2, 3), (2, 3)], "0 is significantly the best of these submissions"),
        ([(1, 3), (1, 3), (1, 3)], "no submission is significantly the best; more"),
        ([(1, 2), (1, 2), (3, 3)], "none of 0, 1 is significantly the best; every other"),
        ([(1, 9)] * 9 + [(10, 10)], "none of the 9 whose rank may be 1 is significantly the best;"),
    ],
)
def test_which_is_best_is_told_in_words(ranks: list[tuple[int, int]], told: str) -> None:
    rows = tuple(
        Row(*rank, None, str(place), "torch", 1.0, None, {}, False)
        for place, rank in enumerate(ranks)
    )
    assert told in tables.footnotes(Board("gradathlon", "wall", (), rows, ()))[0]
    for silent in (
        Board("algoperf", "wall", (), rows, ()),
        Board("gradathlon", "wall", (), rows[:1], ()),
    ):
        assert set(tables.footnotes(silent)) <= {tables.RANKS_TOLD}


@given(width=st.integers(60, 200), workloads=st.integers(1, 12), size=st.integers(1, 26))
def test_at_any_width_each_workload_is_told_once_and_no_line_is_wider(
    width: int, workloads: int, size: int
) -> None:
    names = tuple(f"{chr(97 + place) * size}-toy-v1" for place in range(workloads))
    one = {name: Cell(name, 12.5, 1.0, (12.5,), 1, 1) for name in names}
    rows = (Row(1, 1, 1.0, "adamw", "torch", 1.0, (1.0, 1.0), one, False),)
    told = tables.terminal(Board("gradathlon", "paired", names, rows, ()), width).splitlines()
    assert all(len(line) <= width for line in told)
    notes = next(place for place, line in enumerate(told) if line.startswith("- "))
    words = " ".join(line.strip() for line in told[notes:])
    assert words == f"- {tables.TRIALS_TOLD} - {tables.CHANCE_TOLD}"
    assert sum(line.count(" 12 1/1") for line in told) == workloads
    for name in names:
        assert sum(line.split().count(f"{name.split('-')[0]}-") for line in told) == 1


def test_colours_only_on_a_terminal(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in tables.terminal(board)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" in tables.terminal(board, width=80)


def test_csv_leaves_what_was_missed_empty(board: Board) -> None:
    rows = list(csv.DictReader(io.StringIO(tables.csv(board))))
    assert len(rows) == 8
    first, missed = rows[0], rows[6]
    assert first["submission"] == "a|b"
    assert (first["score"], first["score_low"], first["score_high"]) == ("1.0625", "1.0", "1.125")
    assert (first["workload"], first["time"], first["study_times"]) == (LM, "5.0", "5.0;6.0;")
    assert (missed["time"], missed["ratio"], missed["study_times"]) == ("", "", ";;")
    assert (rows[2]["score_low"], rows[4]["rank_low"], rows[4]["is_reference"]) == ("", "", "1")


def test_json_is_strict_and_missed_is_null(board: Board) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    body = json.loads(tables.json(board), parse_constant=refuse)
    assert [row["rank_high"] for row in body["rows"]] == [2, 2, None, 3]
    assert body["rows"][3]["cells"][LM]["time"] is None
    assert body["rows"][0]["cells"][LM]["study_times"] == [5.0, 6.0, None]
    assert body["rows"][1]["interval"] is None
    assert body["rows"][0]["profile"] == [[1.0, 0.5], [1.225, 0.5], [1.225, 1.0], [4.0, 1.0]]
    assert body["workloads"] == [LM, SHIFT]
    assert body["notes"] == ["d has no trial on it"]


@pytest.mark.parametrize(
    ("time", "clock", "text"),
    [
        (0.1234, "wall", "0.123 s"),
        (123.4, "cpu", "123 s"),
        (1000.0, "wall", "1,000 s"),
        (12345.0, "steps", "12,345 steps"),
        (math.inf, "steps", "—"),
    ],
)
def test_times_carry_their_unit(time: float, clock: str, text: str) -> None:
    assert tables.time_text(time, clock) == text  # type: ignore[arg-type]


def test_every_format_of_a_real_run(new_run: Callable[..., Run]) -> None:
    run = new_run("run", "steps").add(LM, "reference-torch", [20, 21, 22, 19, 20])
    run.add(LM, "adamw", [20, 25, math.inf, 19, 18])
    computed = compute([run.folder])
    assert "200 4/5" in tables.terminal(computed)
    assert "200 4/5" in tables.markdown(computed)
    assert json.loads(tables.json(computed))["clock"] == "steps"
    assert "200.0;250.0;;190.0;180.0" in tables.csv(computed)
