"""Runs as tables for other tools."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from scoring.export import evaluations, export
from scoring.frame import gather
from scoring.ground.documents import ConfigError
from scoring.records import Evaluation, record_path
from tests.scoring.conftest import Run, header, write

LM = "lm-toy-v2"


@pytest.fixture
def run(new_run: Callable[..., Run]) -> Path:
    run = new_run().add(LM, "reference-torch", [20, 21]).add(LM, "adamw", [30, 32])
    return run.folder


def test_trials_come_back_from_parquet_as_from_csv(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for name in ("t.parquet", "t.csv"):
        assert export([run], "trials", tmp_path / name) == 4
    one, two = pd.read_parquet(tmp_path / "t.parquet"), pd.read_csv(tmp_path / "t.csv")
    assert list(one.columns) == list(two.columns)
    for table in (one, two):
        assert table["wall"].tolist() == [30.0, 32.0, 20.0, 21.0]
        assert table["submission"].tolist() == ["adamw"] * 2 + ["reference-torch"] * 2


def test_evaluations_are_a_row_a_metric_with_every_clock(run: Path, tmp_path: Path) -> None:
    assert export([run], "evaluations", tmp_path / "e.csv") == 4 * 2 * 2
    table = pd.read_csv(tmp_path / "e.csv")
    first = table[(table["submission"] == "adamw") & (table["study"] == 0)]
    loss = first[first["metric"] == "validation/loss"]
    assert loss[["evaluation", "steps", "wall", "cpu", "value"]].to_numpy().tolist() == [
        [0, 150, 15.0, 7.5, 2.0],
        [1, 300, 30.0, 15.0, 1.0],
    ]


@pytest.mark.parametrize("count", [3, 20])  # read by line, and in columns
def test_a_metric_that_evaluations_lack_has_no_row_and_one_that_is_nan_has(
    new_run: Callable[..., Run], count: int
) -> None:
    run = new_run().add(LM, "adamw", [30])
    head = header(LM, "sgd")
    told = {0: {"rare": 1.0}, 1: {"rare": math.nan}}
    seen = [
        Evaluation(at + 1, float(at), float(at), {"validation/loss": 2.0, **told.get(at, {})})
        for at in range(count)
    ]
    write(record_path(run.folder, head.key), [head, *seen])
    bare = header(LM, "bare")
    write(record_path(run.folder, bare.key), [bare])
    table = evaluations(gather([run.folder]))
    assert set(table["submission"]) == {"adamw", "sgd"}
    own = table[table["submission"] == "sgd"]
    assert len(own) == count + 2
    assert own.loc[own["metric"] == "rare", "evaluation"].tolist() == [0, 1]
    assert own["value"].isna().sum() == 1
    assert own["evaluation"].is_monotonic_increasing
    assert set(own["paired"]) == {math.inf}


def test_another_ending_and_a_folder_that_is_not_there_are_told(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ending in \.parquet or \.csv"):
        export([run], "trials", tmp_path / "t.xlsx")
    with pytest.raises(ConfigError, match="cannot be written"):
        export([run], "trials", tmp_path / "none" / "t.csv")
