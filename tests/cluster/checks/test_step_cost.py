"""What a step costs: a clock that counts steps tells what the arithmetic makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cluster.checks import step_cost
from cluster.checks.step_cost import StepCost, measure
from scoring.ground.documents import ConfigError
from submissions.source import find
from suite.cli import main

ID = "homeostatic-toy-v3"


@pytest.mark.parametrize("name", ["adamw", "adamw_jax"])
def test_two_equal_methods_cost_the_same_on_a_clock_that_ticks_alike(name: str) -> None:
    ticks = iter(range(10**6))
    found = measure(find(name), find(name), ID, now=lambda: float(next(ticks)))
    assert (found.ratio, found.error, found.reference_s) == (1.0, 0.0, 1.0)
    assert found.rows == ()


def test_a_whole_batch_is_reckoned_from_two_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that costs 3 s beside 0.5 s a row, against a reference of 0.5 s a row alone."""

    def timed(*given: Any) -> list[tuple[float, float]]:
        rows = given[1]
        return [(3.0 + rows / 2, rows / 2)] * 5

    monkeypatch.setattr(step_cost, "_timed", timed)
    found = measure(find("adamw"), find("nadamw"), ID, rows=[4])
    assert found.rows == (4, 8)
    full = 2 * found.reference_s
    assert full == round(full) > 8
    assert found.ratio == pytest.approx(1 + 6 / full)


@pytest.mark.parametrize("rows", [[16], [4, 40]])
def test_more_rows_than_a_batch_has_are_refused(rows: list[int]) -> None:
    with pytest.raises(ConfigError, match="full one has 20; lower --rows"):
        measure(find("adamw"), find("nadamw"), ID, rows=rows)


def test_a_size_given_twice_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_cost, "_timed", lambda *given: [(given[1], 1.0)] * 5)
    assert measure(find("adamw"), find("nadamw"), ID, rows=[4, 4]).rows == (4, 8)


def test_costs_are_added_to_what_another_process_kept_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "costs.json"
    path.write_text(json.dumps({"adamw": {"lm-toy-v2": 2.0}}))

    def measured(*given: Any) -> StepCost:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"soap": {ID: 3.0}}))
        return StepCost(1.5, 0.1, 0.01)

    monkeypatch.setattr(step_cost, "measure", measured)
    monkeypatch.setattr("suite.commands.step_cost.set_environment", lambda held: None)
    monkeypatch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path / "locks"))
    done = CliRunner().invoke(main, ["step-cost", "adamw", "-w", ID, "-o", str(path)])
    assert done.exit_code == 0, done.output
    kept = json.loads(path.read_text())
    assert kept == {"adamw": {"lm-toy-v2": 2.0, ID: 1.5}, "soap": {ID: 3.0}}
