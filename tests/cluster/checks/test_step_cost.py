"""What a step costs: a clock that counts steps tells what the arithmetic makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.checks import step_cost
from cluster.checks.step_cost import measure
from scoring.ground.documents import ConfigError
from submissions.source import find

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
    with pytest.raises(ConfigError, match="a whole one has 20; give --rows a smaller number"):
        measure(find("adamw"), find("nadamw"), ID, rows=rows)


def test_a_size_given_twice_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_cost, "_timed", lambda *given: [(given[1], 1.0)] * 5)
    assert measure(find("adamw"), find("nadamw"), ID, rows=[4, 4]).rows == (4, 8)
