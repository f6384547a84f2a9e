"""Workloads without a target: the metric within the budget, beside a board or alone."""

from __future__ import annotations

import dataclasses
import json
import math
import warnings
from collections.abc import Callable

import pytest

from scoring.board import compute
from scoring.frame import gather
from scoring.ground.words import Budget, Target, TrialKey
from scoring.records import Outcome, record_path
from scoring.report.page import render
from scoring.report.tables import json as as_json
from scoring.report.tables import markdown, terminal

from .conftest import Run, header, lines, write
from .plans import write_plan

NewRun = Callable[..., Run]
OPEN = Target("validation/loss", "min", None)
LM, SHIFT = "lm-toy-v2", "homeostatic-toy-v3"


@pytest.fixture
def race(new_run: NewRun) -> Run:
    """One workload without a target, one with."""
    run = new_run()
    for name in ("reference-torch", "adamw"):
        run.add(LM, name, [math.inf, math.inf, math.inf], target=OPEN)
        run.add(SHIFT, name, [20, 22, 21])
    return run


def test_nothing_meets_no_target() -> None:
    assert not OPEN.met_by(-1e9)


def test_it_counts_for_no_score_and_stands_beside_the_board(race: Run) -> None:
    board = compute([race.folder])
    assert board.workloads == (SHIFT,)
    assert {row.submission for row in board.rows} >= {"reference-torch", "adamw"}
    (beside,) = board.at_equal_budget
    assert (beside.workload, beside.metric, beside.goal) == (LM, "validation/loss", "min")
    found = {one.submission: one for one in beside.standings}
    assert found["adamw"].value == 1.5
    assert found["adamw"].study_values == (1.5, 1.5, 1.5)
    assert found["reference-torch"].is_reference
    text = terminal(board, 120)
    assert "lm-toy-v2 has no target; lowest validation/loss within the same budget" in text
    assert "1.5  adamw (torch), studies 1.5 of 3" in markdown(board)
    told = json.loads(as_json(board))["at_equal_budget"]
    assert told[0]["standings"][0]["study_values"]


def test_the_page_shows_it_with_and_without_a_board(race: Run, new_run: NewRun) -> None:
    page = render(compute([race.folder]), gather([race.folder]).records)
    assert "lm-toy-v2: at equal budget" in page
    alone = new_run("alone").add(LM, "adamw", [math.inf, math.inf], target=OPEN)
    board = compute([alone.folder])
    assert not board.rows
    page = render(board, gather([alone.folder]).records)
    assert "lm-toy-v2: at equal budget" in page
    assert "No workload has a target" in page


def test_a_study_that_came_to_nothing_is_the_worst(new_run: NewRun) -> None:
    """Who fails in two of three studies is not judged by the third."""
    run = new_run()
    for name, failing in (("steady", ()), ("lucky", (1, 2))):
        for study in range(3):
            body = lines(header(LM, name, study=study, target=OPEN), math.inf)
            if study in failing:
                body = [body[0], Outcome("failed", 0, 0.0, 0.0, "broke")]
            write(record_path(run.folder, TrialKey(LM, name, study, 0)), body)
    (beside,) = compute([run.folder]).at_equal_budget
    assert [one.submission for one in beside.standings] == ["steady", "lucky"]
    assert [one.value for one in beside.standings] == [1.5, pytest.approx(math.nan, nan_ok=True)]
    assert "–  lucky (torch), studies 1.5 of 3" in terminal(compute([run.folder]), 120)


def test_a_planned_trial_without_a_record_is_the_worst(new_run: NewRun) -> None:
    run = (
        new_run()
        .add(LM, "lucky", [math.inf], target=OPEN)
        .add(LM, "b", [math.inf] * 3, target=OPEN)
    )
    write_plan(
        run.folder, {LM: (OPEN, Budget(4000, 400.0))}, {"lucky": 1, "b": 1}, 3, frameworks=()
    )
    (beside,) = compute([run.folder]).at_equal_budget
    assert [(one.submission, len(one.study_values)) for one in beside.standings] == [
        ("b", 3),
        ("lucky", 3),
    ]
    assert math.isnan(beside.standings[1].value)


def test_the_largest_numbers_have_a_median(new_run: NewRun) -> None:
    run = new_run()
    for study, loss in enumerate((1.5e308, 1.7e308)):
        body = lines(header(LM, study=study, target=OPEN), math.inf)
        for place in (1, 2):
            body[place] = dataclasses.replace(body[place], metrics={"validation/loss": loss})
        write(record_path(run.folder, TrialKey(LM, "adamw", study, 0)), body)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        board = compute([run.folder])
        assert "1.6e308" in render(board, gather([run.folder]).records)
        assert "1.6e308" in terminal(board, 120)
    assert board.at_equal_budget[0].standings[0].value == pytest.approx(1.6e308)


def test_a_workload_with_and_without_a_target_is_not_one_race(new_run: NewRun) -> None:
    run = new_run().add(LM, "reference-torch", [20, 22]).add(LM, "adamw", [20, 22])
    board = compute([run.add(LM, "sgd", [math.inf], target=OPEN).folder])
    assert board.workloads == (LM,)
    assert not board.at_equal_budget
    (told,) = [note for note in board.notes if "at equal budget" in note]
    assert "sgd" in told
