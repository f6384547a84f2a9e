"""What a workload's section folds away."""

from __future__ import annotations

import dataclasses
import math
import re

import pytest

from scoring.frame import gather
from scoring.records import Evaluation, Record
from scoring.report import folded
from scoring.report.folded import figure_at_end, folded_plots, other_metrics
from scoring.report.heatmap import shade, shade_sheet
from scoring.report.hyperparameters import Tried, scatter_plot, tried
from scoring.report.palette import styles
from scoring.report.plots import TOP
from tests.scoring.page_race import LM, race


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    run = race(tmp_path_factory.mktemp("runs") / "first", evaluations=20)
    return [one for one in gather([run]).records if one.header.workload == LM]


def dots(svg: str) -> tuple[int, int]:
    """How many there are, and how many of them along the top."""
    paths = re.findall(r'<path d="([^"]*)" class="mark dots( missed-trials)?', svg)
    of = [(path.count("M"), bool(kind)) for path, kind in paths]
    return sum(count for count, _ in of), sum(count for count, is_missed in of if is_missed)


def test_varied_hyperparameters_are_drawn_a_mark_a_trial(records: list[Record]) -> None:
    found = {one.name: one for one in tried(records, "wall")}
    assert set(found) == {"lr", "one_minus_beta1"}  # the decay is the same everywhere
    looks = styles(one.header.submission for one in records)
    svg = scatter_plot("p", LM, found["lr"], "wall", looks)
    missed = sum(time == math.inf for own in found["lr"].trials.values() for _, time in own)
    count = sum(map(len, found["lr"].trials.values()))
    assert missed > 0
    assert dots(svg) == (count, missed)
    assert f"{missed} of {count}, along the top" in svg


def test_at_equal_budget_the_best_metric_is_the_result(records: list[Record]) -> None:
    target = records[0].header.target
    assert target is not None
    free = [
        dataclasses.replace(
            one,
            header=dataclasses.replace(one.header, target=dataclasses.replace(target, value=None)),
        )
        for one in records
    ]
    (lr, _) = tried(free, "wall")
    assert lr.metric == target.metric
    best = min(value for own in lr.trials.values() for _, value in own)
    assert best == min(one.metrics[target.metric] for r in free for one in r.evaluations)
    looks = styles(one.header.submission for one in records)
    svg = scatter_plot("p", LM, lr, "wall", looks)
    assert dots(svg) == (sum(map(len, lr.trials.values())), 0)
    assert f"best {target.metric}" in svg and "missed" not in svg
    captions = [caption for _, caption, _, _ in folded_plots(0, LM, free, "wall", looks)]
    assert f"Best {target.metric} against {lr.name}; one mark per trial" in captions


def test_marks_of_one_colour_have_shapes_of_their_own() -> None:
    names = [f"method{place:02}" for place in range(8)]
    looks = styles(names)
    assert looks[names[0]].colour == looks[names[7]].colour
    trials = {name: [(10.0**-place, 1.0 + place) for place in range(3)] for name in names}
    drawn = scatter_plot("p", LM, Tried("lr", trials, None), "wall", looks)
    shapes = re.findall(r'd="M[\d.]+,[\d.]+(m[^M"]+)M[^"]*" class="mark dots c0"', drawn)
    assert shapes == [looks[names[0]].marker, looks[names[7]].marker]


def test_words_stand_side_by_side(records: list[Record]) -> None:
    words = ["cosine", "constant", "a<very>long-name-of-a-decay"]
    chosen = [
        dataclasses.replace(
            one,
            header=dataclasses.replace(
                one.header, hyperparameters={"decay": words[place % 3], "on": place % 2 == 0}
            ),
        )
        for place, one in enumerate(records)
    ]
    found = {one.name: one for one in tried(chosen, "wall")}
    assert found["decay"].words == sorted(words) and found["on"].words == ["False", "True"]
    looks = styles(one.header.submission for one in records)
    svg = scatter_plot("p", LM, found["decay"], "wall", looks)
    assert dots(svg)[0] == sum(map(len, found["decay"].trials.values()))
    across = {float(x) for x in re.findall(r"M([\d.]+),[\d.]+m", svg)}
    assert len(across) == 3
    assert "cosine" in svg and "<very>" not in svg


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
    drawn = {plot: svg for plot, _, _, svg in folded_plots(3, LM, moving, "wall", looks)}
    submissions = len({one.header.submission for one in records})
    assert drawn["side3-0"].count('class="line ') == submissions


def test_at_equal_budget_the_best_trials_are_called_best(records: list[Record]) -> None:
    looks = styles(one.header.submission for one in records)
    free = [
        dataclasses.replace(
            one,
            header=dataclasses.replace(one.header, target=dataclasses.replace(target, value=None)),
            evaluations=tuple(
                Evaluation(e.steps, e.wall_s, e.cpu_s, {**e.metrics, "validation/x": 1 / e.steps})
                for e in one.evaluations
            ),
            outcome=dataclasses.replace(one.outcome, extra={"test": {"test/rmse": 1.5}}),
        )
        for one in records
        if (target := one.header.target) and one.outcome
    ]
    captions = [caption for _, caption, _, _ in folded_plots(0, LM, free, "wall", looks)]
    assert captions[-1] == "validation/x: each submission's best trial; not scored"
    table = figure_at_end(free, "wall", looks)
    assert table is not None
    assert "s best trial, if it ended" in table and "fastest" not in table
    missed = [one for one in records if one.header.submission == "sgd"]
    caption = figure_at_end(
        [
            dataclasses.replace(
                one, outcome=dataclasses.replace(one.outcome, extra={"test": {"test/rmse": 1.5}})
            )
            for one in missed
            if one.outcome
        ],
        "wall",
        looks,
    )
    assert caption is not None
    assert "fastest trial, or the first if all missed the target" in caption


def test_what_is_not_drawn_is_counted(
    records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = styles(one.header.submission for one in records)
    monkeypatch.setattr(folded, "SHOWN", 1)
    captions = [caption for _, caption, _, _ in folded_plots(0, LM, records, "wall", looks)]
    assert [caption.partition(". ")[2] for caption in captions] == [
        "1 more varied hyperparameters: gradathlon export"
    ]


def test_results_beyond_the_axis_stand_at_its_end_and_are_counted(records: list[Record]) -> None:
    results = [1.0 + place / 100 for place in range(99)] + [1e9]
    trials = {"sgd": [(1.0 + place, result) for place, result in enumerate(results)]}
    svg = scatter_plot("p", LM, Tried("lr", trials, "loss"), "wall", styles(["sgd"]))
    assert ">beyond the axis: 1</text>" in svg
    drawn = [float(up) for up in re.findall(r"M[\d.]+,([\d.]+)m", svg)]
    assert min(drawn) == TOP + 26
    assert "1e9" not in svg and "1,000,000,000" not in svg


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
