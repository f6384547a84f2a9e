"""What a workload's section folds away."""

from __future__ import annotations

import dataclasses
import math
import re

import pytest

from scoring.frame import gather
from scoring.records import Evaluation, Record
from scoring.report.details import details, figure_at_end, other_metrics
from scoring.report.heatmap import shade, shade_sheet
from scoring.report.hyperparameters import scatter_plot, tried
from scoring.report.palette import styles
from tests.scoring.page_race import LM, race


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    run = race(tmp_path_factory.mktemp("runs") / "first", evaluations=20)
    return [one for one in gather([run]).records if one.header.workload == LM]


def test_varied_hyperparameters_are_drawn_a_dot_a_trial(records: list[Record]) -> None:
    trials = tried(records, "wall")
    assert set(trials) == {"lr", "one_minus_beta1"}  # the decay is the same everywhere
    looks = styles(one.header.submission for one in records)
    svg = scatter_plot("p", LM, "lr", trials["lr"], "wall", looks)
    missed = sum(time == math.inf for own in trials["lr"].values() for _, time in own)
    count = sum(map(len, trials["lr"].values()))
    assert missed > 0
    paths = re.findall(r'<path d="([^"]*)" class="dots( missed-trials)?', svg)
    assert sum(path.count("h0") for path, kind in paths if kind) == missed
    assert sum(path.count("h0") for path, _ in paths) == count
    assert f"{missed} of {count}, along the top" in svg


def test_other_metrics_are_those_that_change(records: list[Record]) -> None:
    assert other_metrics(records) == []  # the only other one is always 1
    moving = [
        dataclasses.replace(
            one,
            evaluations=tuple(
                Evaluation(e.steps, e.wall_s, e.cpu_s, {**e.metrics, "validation/x": 1 / e.steps})
                for e in one.evaluations
            ),
        )
        for one in records
    ]
    assert other_metrics(moving) == ["validation/x"]
    looks = styles(one.header.submission for one in records)
    drawn = {plot: svg for plot, _, _, svg in details(3, LM, moving, "wall", looks)}
    submissions = len({one.header.submission for one in records})
    assert drawn["side3-0"].count('class="line ') == submissions


def test_what_trials_were_on_test_data_is_a_table(records: list[Record]) -> None:
    looks = styles(one.header.submission for one in records)
    assert figure_at_end(records, "wall", looks) is None
    told = [
        dataclasses.replace(
            one,
            outcome=dataclasses.replace(
                one.outcome, extra={"test": {"test/warming_3x": 1.5, "test/rmse": math.nan}}
            ),
        )
        for one in records
        if one.outcome
    ]
    drawn = figure_at_end(told, "wall", looks)
    assert drawn is not None
    assert drawn.count('<th scope="row">') == len({one.header.submission for one in told})
    assert '<th scope="col" class="number">rmse</th>' in drawn
    assert (
        drawn.count('<td class="number">1.5</td>') == drawn.count('<td class="number">–</td>') > 0
    )


@pytest.mark.parametrize(
    ("ratio", "word"),
    [(1.0, "even"), (1.1, "even"), (0.7, "fast1"), (0.2, "fast3"), (1.5, "slow1"), (9, "slow3")],
)
def test_shades_are_even_in_the_logarithm_and_in_the_sheet(ratio: float, word: str) -> None:
    assert shade(ratio) == word
    assert word == "even" or f".{word} " in shade_sheet()
    assert shade(math.inf) == "missed"
