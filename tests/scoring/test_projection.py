"""The steps of a race at the cost of a step elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from scoring.board import compute
from scoring.ground.documents import ConfigError
from scoring.projection import projected, read_costs
from suite.cli import main
from tests.scoring.conftest import Run

NewRun = Callable[..., Run]
LM, DIGITS = "lm-toy-v2", "homeostatic-toy-v3"


@pytest.fixture
def race(new_run: NewRun) -> Run:
    run = new_run()
    for workload in (LM, DIGITS):
        run.add(workload, "reference-torch", [20, 20, 20])
        run.add(workload, "matrix", [10, 10, 10])
        run.add(workload, "plain", [15, 15, 15])
    return run


def test_the_last_cost_of_a_family_multiplies_the_ratio_of_steps(race: Run) -> None:
    board = compute([race.folder], clock="steps")
    costs = {
        "matrix": {LM: 3.0, "lm-standard-v2": 1.1, DIGITS: 2.0},
        "plain": {"lm-standard-v2": 1.0},
        "gone": {LM: 1.0},
    }
    found = {one.submission: one for one in projected(board, costs)}
    assert list(found) == ["plain", "matrix"]
    before = {row.submission: row.cells for row in board.rows}
    lm, digits = (before["matrix"][name].ratio for name in (LM, DIGITS))
    assert found["matrix"].ratios == pytest.approx({LM: 1.1 * lm, DIGITS: 2 * digits})
    assert found["matrix"].costs[LM] == ("lm-standard-v2", 1.1)
    assert found["plain"].score == pytest.approx((4 - before["plain"][LM].ratio) / 3)


def test_the_command_line_tells_it(race: Run, tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    file.write_text(json.dumps({"matrix": {LM: 1.5}}))
    result: Any = CliRunner().invoke(main, ["score", str(race.folder), "--costs", str(file)])
    assert result.exit_code == 0, result.output
    line = result.stdout.splitlines()[-1]
    assert line == (
        "  matrix: 1.083 (lm-toy-v2 ×0.75 (a step of lm-toy-v2: 1.50); workloads without a cost: 1)"
    )


@pytest.mark.parametrize("text", ["", "[]", '{"a": 3}', '{"a": {"b": "c"}}', '{"a": {"b": -1}}'])
def test_what_holds_no_costs_is_told(text: str, tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"costs\.json: "):
        read_costs(file)


@pytest.mark.parametrize("text", [None, "[]"])
def test_costs_that_cannot_be_read_are_refused_before_a_board_is_printed(
    text: str | None, race: Run, tmp_path: Path
) -> None:
    file = tmp_path / "costs.json"
    if text is not None:
        file.write_text(text)
    result: Any = CliRunner().invoke(main, ["score", str(race.folder), "--costs", str(file)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
