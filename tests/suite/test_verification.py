"""A run looked at again: its best raced anew at the same points on fresh seeds, and compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scoring.records import read_run
from tests.suite.conftest import FakeCluster

Invoke = Callable[..., Any]


def test_a_seed_goes_with_a_race(invoke: Invoke) -> None:
    result = invoke("verify", "first", "--seed", "5")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--seed needs --rerun; add it" in result.stderr


@pytest.mark.parametrize("words", [("--clock", "wall"), ("--no-reference", "--clock", "steps")])
def test_the_best_are_raced_again_on_fresh_seeds(
    words: tuple[str, ...], fake: FakeCluster, invoke: Invoke
) -> None:
    fake.end_of = lambda spec: "budget" if spec.submission == "sgd" else "reached"
    names = ("-s", "sgd", "-s", "adamw", "--studies", "2")
    assert invoke("run", "demo", *names, "-o", "first", *words).exit_code == 0
    first = {one.header.key: one.header for one in read_run(Path("first"))}
    result = invoke("verify", "first", "--rerun", "1", "--seed", "5")
    assert result.exit_code == 0
    again = [one.header for one in read_run(Path("first-again"))]
    assert {one.submission for one in again if "reference" not in one.submission} == {"adamw"}
    for one in again:
        assert one.seed != first[one.key].seed
        assert one.hyperparameters == first[one.key].hyperparameters
    lines = result.stdout.splitlines()
    assert sum("2 of 2 studies met the target, median" in line for line in lines) == 2
    assert not any(line.startswith("reference-") and "again" in line for line in lines)
    assert invoke("verify", "first", "--rerun", "1").exit_code == 2  # first-again is there


def test_who_meets_a_target_no_more_is_told_by_the_exit_code(
    fake: FakeCluster, invoke: Invoke
) -> None:
    assert invoke("run", "demo", "-s", "adamw", "-o", "first", "--clock", "wall").exit_code == 0
    fake.end_of = lambda spec: "budget"
    result = invoke("verify", "first", "--rerun", "1")
    assert result.exit_code == 1
    assert "again 0 of 1 studies met the target, median beyond the budget" in result.stdout


def test_where_nobody_met_a_target_there_is_nothing_to_race_again(
    fake: FakeCluster, invoke: Invoke
) -> None:
    fake.end_of = lambda spec: "budget"
    words = ("-s", "adamw", "-o", "first", "--no-reference", "--clock", "steps")
    assert invoke("run", "demo", *words).exit_code == 0
    result = invoke("verify", "first", "--rerun", "1")
    assert result.exit_code == 2
    assert "no submission met a target" in result.stderr
    assert not Path("first-again").exists()


def test_a_run_whose_hits_have_no_weights_beside_them_is_not_called_verified(
    fake: FakeCluster, invoke: Invoke
) -> None:
    words = ("-s", "adamw", "-o", "first", "--no-reference", "--clock", "steps")
    assert invoke("run", "demo", *words).exit_code == 0
    result = invoke("verify", "first")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "none of its 2 hits kept its weights" in result.stderr
