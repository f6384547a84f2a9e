"""Of very many trials a page shows those that a board depends on."""

from __future__ import annotations

import dataclasses
import math
import re

import pytest

from scoring.board import compute
from scoring.frame import gather
from scoring.ground.words import Goal
from scoring.records import Record
from scoring.report import crowds
from scoring.report.page import render
from tests.scoring.page_race import LM, race


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    return gather([race(tmp_path_factory.mktemp("runs") / "first", evaluations=20)]).records


def test_few_are_all_shown(records: list[Record]) -> None:
    assert crowds.shown(records, "wall", len(records)) == records
    assert crowds.told(len(records), len(records), "drawn") == ""


def test_of_many_each_study_s_fastest_and_failures_are_shown_in_order(
    records: list[Record],
) -> None:
    shown = crowds.shown(records, "wall", 1)
    times = {
        one.path: crowds.time_to_result(one.header, one.evaluations).on("wall") for one in records
    }
    for record in records:
        study = record.header.key[:3]
        rivals = [one for one in records if one.header.key[:3] == study]
        failed = record.outcome is not None and record.outcome.end == "failed"
        is_first = record is min(rivals, key=lambda one: times[one.path])
        assert (record in shown) == (failed or is_first)
    assert [one for one in records if one in shown] == shown
    assert 0 < len(shown) < len(records)


@pytest.mark.parametrize("goal", ["min", "max"])
def test_at_equal_budget_the_best_of_each_study_is_shown(records: list[Record], goal: Goal) -> None:
    free = [
        dataclasses.replace(
            one,
            header=dataclasses.replace(
                one.header, target=dataclasses.replace(target, goal=goal, value=None)
            ),
        )
        for one in records
        if (target := one.header.target)
    ]
    shown = crowds.shown(free, "wall", 1)
    pick = min if goal == "min" else max
    for record in free:
        rivals = [one for one in free if one.header.key[:3] == record.header.key[:3]]
        results = [crowds.result_of(one, "wall") for one in rivals]
        finite = [result for result in results if math.isfinite(result)]
        best = finite and crowds.result_of(record, "wall") == pick(finite)
        assert not best or record in shown


def test_the_page_tells_what_it_leaves_out(
    records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    board = compute([records[0].path.parents[3]])
    whole = render(board, records)
    assert "of each study" not in whole
    monkeypatch.setattr(crowds, "ROWS", 10)
    monkeypatch.setattr(crowds, "CURVES", 10)
    thin = render(board, records)
    count = len(crowds.shown(records, "wall", 1))
    assert f"{count:,} of {len(records):,} trials are listed: the fastest of each study" in thin
    assert thin.count("<tr data-s") < whole.count("<tr data-s")
    own = [one for one in records if one.header.workload == LM]
    drawn = len(crowds.shown(own, "wall", 1))
    assert f"{drawn:,} of {len(own):,} trials are drawn: the fastest of each study" in thin
    assert re.findall(rf"of {len(own)} trials met it", thin), "all of them are counted"
