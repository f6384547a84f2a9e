from __future__ import annotations

import dataclasses
import json
import math
import re
import xml.dom.minidom
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from scoring.board import Board, compute
from scoring.equal_budget import EqualBudget, Standing
from scoring.records import Evaluation, Record, RecordError, read_run
from scoring.report.axes import Scale, clock_unit, robust_range, short, ticks
from scoring.report.curves import curve_plot
from scoring.report.markup import Markup, element, embedded_json
from scoring.report.page import render, write_page
from scoring.report.palette import styles
from scoring.report.pictures import board_svg, curves_svg, static_profile_svg
from scoring.report.plots import score_bar
from tests.scoring.page_race import LM, TRACEBACK, race

HOSTILE = "<img src=x onerror=boom()>&\"'"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return race(tmp_path_factory.mktemp("runs") / "first", evaluations=20)


@pytest.fixture(scope="module")
def board(run: Path) -> Board:
    return compute([run])


@pytest.fixture(scope="module")
def records(run: Path) -> list[Record]:
    return read_run(run)


@pytest.fixture(scope="module")
def page(board: Board, records: list[Record]) -> str:
    return render(board, records)


class Outline(HTMLParser):
    """Every tag with its attributes, and the text within rows of tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_tags_are_balanced_and_ids_unique(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_nothing_is_fetched(page: str) -> None:
    for _, attributes in Outline(page).tags:
        for name in ("src", "href", "xlink:href", "action", "srcset", "style"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert "@import" not in page
    assert set(re.findall(r"url\(([^)]*)\)", page)) == {
        f"#curves{place}-{part}" for place in (0, 1) for part in ("area", "wide")
    }
    assert set(re.findall(r"https?://[^\s\"'<]*", page)) == {"http://www.w3.org/2000/svg"}


def test_all_that_happened_is_told(page: str, records: list[Record], board: Board) -> None:
    trials = page[page.index('class="trials"') :]
    assert trials.count("<tr ") == len(records)
    assert "no &lt;b&gt;state&lt;/b&gt; for layer 3" in trials
    assert page.count("<details>") == 2 == page.count("Traceback (most recent call last)")
    for word in ("6 submissions, 2 workloads, 84 trials, 2026-11-20", "Example CPU", "2.13.0"):
        assert word in page
    for row in board.rows:
        assert f">{row.score:.3f}<" in page
        for cell in row.cells.values():
            assert f"{cell.reached}/{cell.trials}</small>" in page or not cell.trials


def test_each_marker_stands_on_its_curve_where_the_target_was_met(records: list[Record]) -> None:
    own = [record for record in records if record.header.workload == LM]
    looks = styles(record.header.submission for record in own)
    svg, data = curve_plot("p", LM, own, "cpu", looks)
    lines = re.findall(r'<path d="([^"]*)" class="line [^"]*" data-s="\d+" data-i="(\d+)">', svg)
    marks = re.findall(r'transform="translate\(([^)]*)\)" data-s="\d+" data-i="(\d+)"', svg)
    corners = {index: re.split("[ML]", path)[1:] for path, index in lines}
    hits = [curve["hit"] for curve in data["curves"]]
    assert len(lines) == len(own)
    assert len(marks) == len([hit for hit in hits if hit is not None]) > 0
    for place, index in marks:
        assert corners[index][hits[int(index)]] == place


def test_values_that_are_not_finite_break_a_curve(records: list[Record]) -> None:
    base = next(record for record in records if record.header.workload == LM)
    metric = base.header.target.metric if base.header.target else ""
    values = [5.0, math.nan, 4.0, math.inf, 3.0, 2.9]
    seen = tuple(Evaluation(n, float(n), float(n), {metric: v}) for n, v in enumerate(values))
    record = dataclasses.replace(base, evaluations=seen)
    svg, data = curve_plot("p", LM, [record], "wall", styles([base.header.submission]))
    path = re.search(r'd="([^"]*)" class="line', svg)
    assert path is not None
    assert (path[1].count("M"), path[1].count("L")) == (3, 1)
    assert json.loads(embedded_json(data))["curves"][0]["y"] == [5.0, None, 4.0, None, 3.0, 2.9]


def test_whiskers_span_the_interval(board: Board) -> None:
    row = next(row for row in board.rows if row.interval and not row.is_reference)
    assert row.interval is not None
    scale = Scale(0.0, 2.0, 0.0, 1000.0)
    bar = score_bar(row, scale, 10)
    low, high = (round(500 * end, 1) for end in row.interval)
    assert f"M{low},10H{high}" in bar
    assert f'width="{round(500 * row.score, 1)}"' in bar


def test_hostile_words_stay_words(run: Path, tmp_path: Path) -> None:
    speeds = {(HOSTILE, "torch"): 1.2, ("reference-torch", "torch"): 1.0}
    folder = race(tmp_path / "<script>x", speeds=speeds, studies=1, evaluations=8)
    records = read_run(folder)
    bad = "</script><script>boom()</script>\x00\ud800$title"
    records = [
        dataclasses.replace(
            record,
            header=dataclasses.replace(
                record.header, hyperparameters={bad: bad}, hardware={bad: [bad]}
            ),
            outcome=dataclasses.replace(record.outcome, reason=bad, extra={"traceback": bad}),
        )
        for record in records
        if record.outcome
    ]
    board = dataclasses.replace(compute([folder]), notes=(bad,))
    page = render(board, records)
    page.encode("utf-8")
    outline = Outline(page)
    assert [tag for tag, _ in outline.tags].count("script") == 2
    assert not [tag for tag, _ in outline.tags if tag == "img"]
    assert HOSTILE in data_of(page)["plots"]["curves0"]["curves"][0]["label"]
    pictures = [board_svg(board), static_profile_svg(board), curves_svg(board, records, LM)]
    for picture in pictures:
        tree = xml.dom.minidom.parseString(picture.encode())
        assert not tree.getElementsByTagName("img")


def test_thousand_curves_fit_in_three_megabytes(board: Board, records: list[Record]) -> None:
    whole = [record for record in records if len(record.evaluations) >= 15]
    many = []
    for place in range(1000):
        base = whole[place % len(whole)]
        seen = tuple(
            Evaluation(
                50 * n, n * 2.345678, n * 2.31234, {k: v * (1 + 1e-3 * n) for k, v in m.items()}
            )
            for n in range(1, 201)
            for m in [base.evaluations[n % 15].metrics]
        )
        head = dataclasses.replace(base.header, study=place // len(whole))
        many.append(dataclasses.replace(base, header=head, evaluations=seen))
    page = render(board, many)
    assert len(page.encode()) < 3_000_000
    assert sum(len(plot["curves"]) for plot in data_of(page)["plots"].values()) == 1000


def test_a_page_without_a_target_explains_no_score(board: Board, records: list[Record]) -> None:
    standing = Standing("adamw", "torch", 1234.5, (1234.0, 1235.0), is_reference=False)
    race = EqualBudget(LM, "validation/loss", "min", (standing,))
    bare = dataclasses.replace(board, rows=(), workloads=(), at_equal_budget=(race,))
    page = render(bare, records)
    assert "6 submissions, 1 workload, 84 trials" in page
    assert "How to read the score" not in page
    assert 'data-v="1234.5">1,234<' in page and ">1,234–1,235 of 2<" in page


def test_ruleset_is_the_submissions_own(
    board: Board, records: list[Record], tmp_path: Path
) -> None:
    told = "<dt>Tuning ruleset</dt><dd>([^<]*)</dd>"
    tuned = [
        dataclasses.replace(one, header=dataclasses.replace(one.header, ruleset="self"))
        if not one.header.submission.startswith("reference-")
        else one
        for one in records
    ]
    assert re.findall(told, render(board, tuned)) == ["self"]
    alone = race(tmp_path / "alone", speeds={("reference-torch", "torch"): 1.0}, evaluations=20)
    assert re.findall(told, render(compute([alone]), read_run(alone))) == []


def test_trials_of_two_runs_are_shown_as_the_board_counts_them(run: Path, tmp_path: Path) -> None:
    speeds = {("mine", "torch"): 1.2, ("reference-torch", "torch"): 1.0}
    mine = race(tmp_path / "mine", speeds=speeds, studies=4, evaluations=20)
    write_page([run, mine, run], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    # Each run's reference counts for its own, so that both are there.
    assert "7 submissions, 2 workloads, 108 trials" in page
    assert "reference-torch (torch), study 2, trial 0" in page
    assert "reference-torch (torch), study 3, trial 0" in page


def test_page_says_what_the_score_is_relative_to(run: Path, tmp_path: Path) -> None:
    output = tmp_path / "page.html"
    write_page([run], output)
    assert "reference of the same framework" in output.read_text()
    write_page([run], output, across_frameworks=True)
    assert "reference of the same framework" not in output.read_text()
    assert f">{compute([run], across_frameworks=True).rows[-2].score:.3f}<" in output.read_text()


def test_page_is_written_whole_or_not_at_all(run: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    output.write_text("old")
    with pytest.raises(RecordError):
        write_page([tmp_path / "nothing"], output)
    assert output.read_text() == "old"
    write_page([run], output, protocol="algoperf", clock="steps")
    assert output.read_text().rstrip().endswith("</html>")
    assert data_of(output.read_text())["clock"] == "steps"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(OSError, match="No such file"):
        write_page([run], tmp_path / "no" / "report.html")


def test_references_take_no_colour() -> None:
    without = styles(["adamw", "sgd"])
    together = styles(["sgd", "reference-jax", "adamw", "reference-torch"])
    assert together["reference-jax"].colour == together["reference-torch"].colour == "cr"
    for name in without:
        assert without[name].colour == together[name].colour
    looks = styles([f"s{n:02}" for n in range(42)]).values()
    assert len({(look.colour, look.marker) for look in looks}) == 42


@pytest.mark.parametrize(("low", "high"), [(0, 95.2), (2.2, 7.3), (-1e-5, 3e-5), (0.1, 0.58)])
def test_ticks_are_few_and_round(low: float, high: float) -> None:
    marks = ticks(low, high)
    assert 3 <= len(marks) <= 8
    assert low <= min(marks)
    assert max(marks) <= high
    assert all(len(short(mark).lstrip("-0.").split("e")[0]) <= 4 for mark in marks)


def test_numbers_for_readers() -> None:
    values = [0.0, 0.1, 2.4567, 1234.5, 1e-5, 2.5e30, math.nan, 100.0, 0.00012345]
    assert [short(value) for value in values] == [
        *("0", "0.1", "2.46", "1,234", "1e-5", "2.5e30", "–", "100", "0.000123"),
    ]
    assert clock_unit("wall", 5 * 3600).size == 3600
    assert clock_unit("steps", 1e9).size == 1


def test_one_diverged_trial_does_not_squeeze_the_axis() -> None:
    values = [3 - n / 100 for n in range(100)] + [1e30, math.inf, math.nan]
    low, high = robust_range(values, [1.5])
    assert low < 1.5
    assert 2.8 < high < 3.2
    assert robust_range([], []) == (0.0, 1.0)
    assert abs(Scale(0, 1, 0, 100)(1e30)) <= 500


def test_markup_escapes_all_but_markup() -> None:
    built = element(
        "a", "<b>", element("i", "&"), Markup("<u></u>"), None, class_='"x"', hidden=True
    )
    assert built == '<a class="&quot;x&quot;" hidden="">&lt;b&gt;<i>&amp;</i><u></u></a>'
    assert element("input", checked=False, data_x=3) == '<input data-x="3">'
    assert "<" not in embedded_json(["</script>", "<!--"])


def test_traceback_is_kept_verbatim(page: str) -> None:
    found = re.search(r"<pre>(.*?)</pre>", page, re.DOTALL)
    assert found is not None
    import html

    assert html.unescape(found[1]) == TRACEBACK


def test_on_the_steps_clock_no_seconds_are_told_as_a_budget(
    board: Board, records: list[Record]
) -> None:
    on_steps = [
        dataclasses.replace(record, header=dataclasses.replace(record.header, clock="steps"))
        for record in records
    ]
    assert f"Budget: {records[0].header.budget.steps:,} steps. " in render(board, on_steps)


def test_on_the_paired_clock_the_budget_is_told_in_reference_steps(
    board: Board, records: list[Record], page: str
) -> None:
    steps = records[0].header.budget.steps
    assert f"Budget: {steps:,} steps or " in page
    by_framework = {"torch": 3316.2, "jax": 3377.9}
    paired = [
        dataclasses.replace(
            record,
            header=dataclasses.replace(
                record.header,
                budget=dataclasses.replace(
                    record.header.budget, reference_steps=by_framework[record.header.framework]
                ),
            ),
        )
        for record in records
    ]
    told = f"Budget: 3,316 to 3,378 reference steps, at most {steps:,} steps"
    assert told in render(board, paired)
