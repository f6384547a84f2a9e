"""The page about a sweep, from a log and records."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scoring.ground.words import TrialKey
from scoring.records import Evaluation, Outcome, Record, record_path
from scoring.report.sweep_page import render
from scoring.report.sweeps import sweep_svg
from scoring.sensitivity import Sweep
from scoring.sweep_log import SweepLog
from tests.scoring.conftest import header

GRID = (0.01, 0.1, 1.0)
FINALS = ((1.5, 2.5, 9.0), (1.4, 2.4, float("nan")))


@pytest.fixture
def page() -> str:
    sweep = Sweep("lm-toy-v2", 1000, "validation/loss", "min", GRID, FINALS, (5.0, 5.0))
    log = SweepLog("adamw", "lr", log=True, fixed={}, core_hours=0.012, sweeps=(sweep,))
    records = [
        trial(seed, place, value, FINALS[seed][place])
        for seed in range(2)
        for place, value in enumerate(GRID)
    ]
    return render(log, records, "sweep")


def trial(seed: int, place: int, lr: float, final: float) -> Record:
    head = header(study=seed, trial=place, hyperparameters={"lr": lr}, target=None)
    losses = [5.0, 3.0, final]
    seen = tuple(
        Evaluation(10 * n, 10.0 * n, 10.0 * n, {"validation/loss": loss})
        for n, loss in enumerate(losses, 1)
    )
    path = record_path(Path("/sweeps/sweep"), TrialKey(*head.key))
    return Record(path, head, seen, (), Outcome("budget", 30, 30.0, 30.0, "spent"))


def test_a_value_that_ends_worse_than_it_began_is_told_to_be_held(page: str) -> None:
    row = re.search(r'data-v="1.0">1</th>(.*?)</tr>', page)
    assert row is not None
    assert ">5<small" in row[1] and "1 diverged" in row[1]
    captions = re.findall(r"<figcaption><span>([^<]*)", page)
    assert sum("worse than before training" in caption for caption in captions) == 2
    assert "what ends worse than before training (dashed), or diverges (✕), is held" in captions[0]


def test_the_picture_alone_says_what_is_held() -> None:
    sweep = Sweep("lm-toy-v2", 1000, "validation/loss", "min", GRID, FINALS, (5.0, 5.0))
    told = re.findall(r"<text[^>]*>([^<]*)", sweep_svg([sweep], "lr", log=True))
    assert "dashed: before training" in told
    assert "worse than that, or diverged" in told and "(✕): held there" in told


def test_all_curves_count_alike(page: str) -> None:
    kinds = re.findall(r'class="line torch v\d (\w+)"', page)
    assert kinds == ["fastest"] * 6
