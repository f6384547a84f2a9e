"""Pruned runs have the board of the whole race."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.attempts import header_of, write_not_begun
from cluster.spec import TrialSpec
from scoring import board
from scoring.forecast import OPTIMISM
from scoring.records import Outcome, Writer, read_run, record_attempts
from submissions.source import find
from suite.pruning import in_order
from workloads.config import Race

from .conftest import REFERENCES, FakeCluster, Told, race
from .test_live import spec as live_spec

SUBMISSIONS = {
    "one": 'SEARCH_SPACE = {"lr": {"min": 0.1, "max": 1.0, "scaling": "log"}}\n'
    "def submission(params, lr=0.5): ...\n",
    "two": 'SEARCH_SPACE = {"lr": {"min": 0.1, "max": 1.0, "scaling": "log"}}\n'
    "def submission(params, lr=0.4): ...\n",
}


class Racing(FakeCluster):
    """Evaluations every tenth of the budget; the target is met at a random one, or never."""

    draw = 0
    hits: tuple[int | None, ...] = (1, 2, 3, 4, 5, 6, 8, 10, None)

    def train(self, spec: TrialSpec) -> Outcome:
        self.trained.append(spec)
        if spec.stop is not None and spec.stop.after <= 0:
            return write_not_begun(spec)
        chance = random.Random(f"{self.draw} {spec.key}")
        step = spec.budget.steps // 10
        hit = chance.choice(self.hits) if spec.submission in SUBMISSIONS else 3
        rate = chance.uniform(0.5, 2.0)
        writer = Writer(spec.record(len(record_attempts(spec.run, spec.key))))
        writer.write(header_of(spec, []))
        assert spec.target is not None
        told = Told(spec, writer)
        end, steps, wall_s = "budget", 0, 0.0
        for number in range(1, 11):
            steps, wall_s = number * step, rate * number
            met = hit == number
            off = -chance.uniform(0.0, 2.5) if met else chance.uniform(0.1, 1.0)
            off *= 1.0 if spec.target.goal == "min" else -1.0
            told.write(steps, wall_s, spec.target.value + off)
            time = {"wall": wall_s, "steps": float(steps)}[spec.clock]
            if met or (spec.stop and time >= spec.stop.after):
                end = "reached" if met else "pruned"
                break
        outcome = Outcome(end, steps, wall_s, wall_s, end)  # type: ignore[arg-type]
        writer.write(outcome)
        writer.close()
        return outcome


@pytest.fixture
def racing(fake: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> Racing:
    import cluster

    stand_in = Racing()
    monkeypatch.setattr(cluster, "run_all", stand_in.run_all)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    for name, text in SUBMISSIONS.items():
        Path(f"{name}.py").write_text(text)
    return stand_in


def a_suite(studies: int, clock: str) -> str:
    body = {
        "title": "two",
        "workloads": ["lm-toy-v2", "homeostatic-toy-v3"],
        "submissions": ["one.py", "two.py"],
        "ruleset": "external",
        "studies": studies,
        "trials": 3,
        "clock": clock,
        "budget_factor": 1.0,
    }
    Path("mine.yaml").write_text(yaml.safe_dump(body))
    return "mine.yaml"


def told(run: str) -> dict[str, Any]:
    """All of a board but how many trials met the target."""
    found = board.compute([Path(run)])
    return {
        row.submission: (
            (row.rank_low, row.rank_high, row.p_best, row.score, row.interval),
            {id: (cell.time, cell.ratio, cell.study_times) for id, cell in row.cells.items()},
        )
        for row in found.rows
    }


def steps_of(run: str) -> int:
    return sum(one.outcome.steps for one in read_run(Path(run)) if one.outcome)


@pytest.mark.parametrize("clock", ["steps", "wall"])
@pytest.mark.parametrize("draw", [0, 1, 4])
def test_the_board_of_a_pruned_run_is_that_of_the_whole_race(
    racing: Racing, invoke: Any, clock: str, draw: int
) -> None:
    racing.draw = draw
    suite = a_suite(1 + draw % 5, clock)
    assert invoke("run", suite, "-o", "pruned").exit_code == 0
    assert invoke("run", suite, "-o", "whole", "--no-prune").exit_code == 0
    ends = [one.outcome.end for one in read_run(Path("pruned")) if one.outcome]
    assert "pruned" in ends
    assert not any(one.outcome.end == "pruned" for one in read_run(Path("whole")) if one.outcome)
    assert told("pruned") == told("whole")
    assert steps_of("pruned") < steps_of("whole")


@pytest.mark.parametrize(("studies", "draw"), [(1, 0), (2, 1), (3, 2), (5, 3), (5, 4)])
def test_more_pruning_changes_no_score(
    racing: Racing, invoke: Any, studies: int, draw: int
) -> None:
    racing.draw = draw
    suite = a_suite(studies, "steps")
    assert invoke("run", suite, "-o", "pruned", "--prune", "score").exit_code == 0
    assert invoke("run", suite, "-o", "whole", "--no-prune").exit_code == 0
    pruned, whole = told("pruned"), told("whole")
    for name in SUBMISSIONS:
        assert pruned[name][0][3] == whole[name][0][3]
        for workload, (_, ratio, _) in whole[name][1].items():
            found = pruned[name][1][workload][1]
            assert found == ratio or (found == math.inf and ratio >= 4)


def test_on_the_steps_clock_a_reference_that_ships_bounds_trials_though_it_is_not_raced(
    racing: Racing, raced: dict[str, Race], invoke: Any
) -> None:
    """It takes 30 steps, the trials 40 and more: what takes over 120 scores nothing."""
    quick = {name: one.model_copy(update={"steps": [30.0] * 5}) for name, one in REFERENCES.items()}
    raced["lm-toy-v2"] = raced["homeostatic-toy-v3"] = race(reference=quick)
    suite = a_suite(1, "steps")
    assert invoke("run", suite, "-o", "pruned", "--prune", "score").exit_code == 0
    assert invoke("run", suite, "-o", "whole", "--no-prune").exit_code == 0
    stops = [spec.stop for spec in racing.trained if spec.stop is not None]
    assert any("too far beyond the reference's time" in stop.why for stop in stops)
    scores = [{name: row[0][3] for name, row in told(run).items()} for run in ("pruned", "whole")]
    assert scores[0] == scores[1]
    assert any(scores[0].values())


def test_references_are_never_pruned_and_come_first_where_scores_count(
    racing: Racing, invoke: Any
) -> None:
    invoke("run", a_suite(3, "steps"), "-o", "pruned", "--prune", "score")
    assert all(spec.stop is None for spec in racing.trained if spec.submission not in SUBMISSIONS)
    first = [spec.submission.startswith("reference-") for spec in racing.trained]
    assert first == sorted(first, reverse=True)


def test_a_study_that_cannot_matter_is_not_begun_and_told(racing: Racing, invoke: Any) -> None:
    racing.hits = (None,)
    invoke("run", a_suite(3, "steps"), "-o", "pruned", "--prune", "score")
    last = [one for one in read_run(Path("pruned")) if one.header.study == 2]
    racers = [one.outcome for one in last if one.header.submission in SUBMISSIONS]
    assert {outcome.end for outcome in racers if outcome} == {"pruned"}
    assert {outcome.steps for outcome in racers if outcome} == {0}
    assert all(outcome.reason.startswith("not started:  ") for outcome in racers if outcome)
    shown = json.loads(invoke("score", "pruned", "--format", "json").stdout)
    assert shown


def test_a_forecast_is_asked_for_of_every_racer_beside_the_exact_rules(
    racing: Racing, invoke: Any
) -> None:
    invoke("run", a_suite(3, "steps"), "-o", "scores", "--prune", "score")
    bounds = {spec.key: spec.stop and spec.stop.after for spec in racing.trained}
    racing.trained.clear()
    invoke("run", a_suite(3, "steps"), "-o", "forecasts", "--prune", "forecast")
    for spec in racing.trained:
        if spec.submission not in SUBMISSIONS:
            assert spec.stop is None, "a reference"
            continue
        assert spec.stop is not None
        assert spec.stop.optimism == OPTIMISM
        after = None if math.isinf(spec.stop.after) else spec.stop.after
        assert after == bounds[spec.key]


def test_one_trial_a_study_leaves_nothing_to_prune(racing: Racing, invoke: Any) -> None:
    suite = a_suite(2, "steps")
    invoke("run", suite, "-o", "run", "--trials", "1")
    assert all(spec.stop is None for spec in racing.trained)


def test_the_points_nearest_to_the_defaults_start_first_in_their_studies_places() -> None:
    adamw = find("adamw")
    points = [{"lr": 1.0}, {"lr": 2e-3}, {"lr": 1e-6}, {}]
    specs = [
        dataclasses.replace(
            live_spec(study), source=adamw, hyperparameters=point, trial=trial, submission=name
        )
        for study in range(2)
        for trial, point in enumerate(points)
        for name in ("one", "two")
    ]
    ordered = in_order(specs, "board")
    assert {spec.key for spec in ordered} == {spec.key for spec in specs}
    places = [(spec.study, spec.submission) for spec in specs]
    assert [(spec.study, spec.submission) for spec in ordered] == places
    firsts = [spec.trial for spec in ordered if (spec.study, spec.submission) == (1, "two")]
    assert firsts[:2] == [3, 1], "the defaults, then what is nearest"
    assert in_order(specs, "none") == specs
