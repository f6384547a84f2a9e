"""Learning curves: what is drawn of a trial, and what a script is told of it."""

from __future__ import annotations

import dataclasses
import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scoring.ground.ends import End
from scoring.ground.words import Clock, Target, TrialKey
from scoring.records import Evaluation, Outcome, Record, RecordError, record_path
from scoring.report.curves import curve_plot, side_plot
from scoring.report.palette import styles
from scoring.report.plots import BOTTOM, HEIGHT, TOP
from tests.scoring.conftest import TARGET, header

LOOKS = styles(["adamw", "sgd"])


def trial(
    losses: Sequence[float], end: End = "budget", run: str = "run", paired: float = 1.0, **head: Any
) -> Record:
    """A trial with a loss each ten seconds."""
    made = header(**head)
    path = record_path(Path("/runs", run), TrialKey(*made.key))
    seen = tuple(
        Evaluation(10 * n, 10.0 * n, 10.0 * n, {"validation/loss": loss}, paired * n)
        for n, loss in enumerate(losses, 1)
    )
    last = 10 * len(losses)
    return Record(path, made, seen, (), Outcome(end, last, float(last), float(last), "because"))


def plot(*records: Record, clock: Clock = "wall") -> tuple[str, Any]:
    return curve_plot("p", "lm-toy-v2", records, clock, LOOKS)


def paths(svg: str) -> list[str]:
    return re.findall(r'<path d="([^"]*)" class="line', svg)


def heights(svg: str) -> list[float]:
    return [float(up) for path in paths(svg) for up in re.findall(r",([-\d.]+)", path)]


def strong(svg: str) -> int:
    return len(re.findall(r'class="line \w+ \w+ fastest"', svg))


def test_points_that_another_clock_needs_are_kept() -> None:
    """In steps a straight line; on the wall clock it stands still for half of the time."""
    one = trial([5.0 - 0.04 * n for n in range(100)])
    seen = tuple(
        dataclasses.replace(line, wall_s=10.0 * n + (1000.0 if n > 50 else 0.0))
        for n, line in enumerate(one.evaluations, 1)
    )
    _, data = plot(dataclasses.replace(one, evaluations=seen), clock="steps")
    (curve,) = data["curves"]
    drawn = np.interp([line.wall_s for line in seen], curve["wall"], curve["y"])
    assert np.abs(drawn - [line.metrics["validation/loss"] for line in seen]).max() < 0.01
    assert len(curve["y"]) < 10


def test_an_evaluation_alone_is_a_dot() -> None:
    assert [path.endswith("h0") for path in paths(plot(trial([2.0]))[0])] == [True]
    (broken,) = paths(plot(trial([2.0, math.nan, 2.0, 2.1, math.nan, 2.2]))[0])
    assert re.sub(r"[-\d.]+,[-\d.]+", "", broken) == "Mh0MLMh0"


def test_trials_that_failed_are_in_sight_where_there_are_no_others() -> None:
    svg, _ = plot(trial([9.0, 8.0, 7.5], "failed"))
    assert all(TOP <= up <= HEIGHT - BOTTOM for up in heights(svg))
    svg, _ = plot(trial([9.0, 1e9], "failed"), trial([2.0, 1.5], trial=1))
    assert min(heights(svg)) < TOP, "beside others they do not stretch the axis"


@pytest.mark.parametrize("offset", [1.0, 123_456.0])
def test_a_script_is_told_as_much_as_can_be_seen(offset: float) -> None:
    losses = [offset + loss for loss in (4e-3, 2e-3, 3e-3, 1e-3)]
    svg, data = plot(trial(losses, target=Target("validation/loss", "min", offset)))
    low, high, start, end = data["y"]
    drawn = [start + (y - low) / (high - low) * (end - start) for y in data["curves"][0]["y"]]
    assert drawn == pytest.approx(heights(svg), abs=0.1)


def test_paired_time_is_told_to_its_fractions() -> None:
    _, data = plot(trial([3.0, 2.0, 2.9], paired=0.37), clock="paired")
    assert data["curves"][0]["paired"] == pytest.approx([0.37, 0.74, 1.11])
    assert data["curves"][0]["steps"] == [10, 20, 30]


def test_a_clock_that_was_not_read_has_no_curves() -> None:
    own = trial([2.0, 1.0], "reached")
    bare = tuple(dataclasses.replace(one, paired=None) for one in own.evaluations)
    with pytest.raises(RecordError, match=r"timed on the paired clock; .* \(wall, cpu, steps\)"):
        plot(own, dataclasses.replace(own, evaluations=bare), clock="paired")


def test_studies_of_several_runs_are_several_studies() -> None:
    runs = ("mine/race", "theirs/race")
    own = [trial([2.0, 1.0 - place / 9], "reached", run) for place, run in enumerate(runs)]
    svg, data = plot(*own)
    assert strong(svg) == 2
    labels = [curve["label"] for curve in data["curves"]]
    assert labels == [f"adamw (torch), study 0, trial 0, {run}" for run in runs]
    again = trial([2.0, 2.0, 1.0], "reached", runs[0], trial=1)
    svg, _ = plot(*own, again)
    assert strong(svg) == 2, "the slower trial of a study is drawn faint"


@pytest.mark.parametrize(("goal", "best"), [("min", 1), ("max", 0)])
def test_at_equal_budget_the_best_of_a_study_stands_out(goal: Any, best: int) -> None:
    target = Target("validation/loss", goal, None)
    svg, data = plot(trial([3.0, 2.5], target=target), trial([2.0, 1.5], target=target, trial=1))
    assert strong(svg) == 1
    assert data["curves"][-1]["label"].endswith(f"trial {best}"), "the last is on top"
    assert 'class="mark' not in svg


def test_the_largest_numbers_are_drawn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg, _ = plot(trial([1.79e308, -1.79e308, 3.0]), trial([1.79e308, 3.0], trial=1))
        assert "nan" not in svg
        assert "nan" not in side_plot(
            "p", "validation/loss", [trial([1.7e308, -1.7e308])], "wall", LOOKS
        )


def test_a_metric_is_told_of_the_trials_that_have_it() -> None:
    other = trial([2.0, 1.9], submission="sgd")
    bare = dataclasses.replace(
        other, evaluations=tuple(dataclasses.replace(one, metrics={}) for one in other.evaluations)
    )
    svg = side_plot("p", "validation/loss", [trial([2.0, 1.9]), bare], "wall", LOOKS)
    assert len(paths(svg)) == 1
    assert "trials: 1." in svg


def test_the_target_is_told_as_it_is() -> None:
    svg, _ = plot(trial([2.0, 0.5], target=dataclasses.replace(TARGET, value=0.99995)))
    assert ">target 0.99995<" in svg
