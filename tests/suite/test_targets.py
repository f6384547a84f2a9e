from __future__ import annotations

import dataclasses
import functools
import json
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import cluster
import workloads
from cluster.attempts import finished as ended_before
from cluster.attempts import header_of
from cluster.run_lock import is_driven
from cluster.spec import Finished, TrialSpec
from scoring.ground.documents import parse_yaml
from scoring.ground.limit import Limit
from scoring.ground.words import Goal
from scoring.records import Evaluation, Outcome, Writer, record_attempts
from submissions.source import find
from suite.targets import conclusion, procedure, reference, stages
from suite.targets import write as writing
from suite.targets.statistics import Curve, first_meeting, loosest
from suite.targets.write import Result, adopted_folder, write_result
from workloads.config import Race, Reference, WorkloadId
from workloads.errors import WorkloadError
from workloads.metric import Metric

WORKLOAD = "lifelong-toy-v3"
PERIOD, HORIZON, WINDOW = 20, 800, 3
FRESH = range(1000, 1008)
STAGES = (32, 16, 8, 4, 6, 8, 5)
"""Trials a stage where NadamW wins: four rungs, finalists on one old seed and two new ones, fresh
seeds in torch and in JAX."""

FIND = functools.cache(find)

DATA = "d" * 64
Quality = Callable[[TrialSpec], float]


class Cluster:
    """Stands in for `cluster.run_all`: accuracy climbs in a straight line to `quality(spec)`."""

    def __init__(self) -> None:
        self.calls: list[list[TrialSpec]] = []
        self.trained: list[TrialSpec] = []
        self.quality: Quality = favour("nadamw")
        self.end_of: Callable[[TrialSpec], str] = lambda spec: "budget"
        self.before: Callable[[TrialSpec], None] = lambda spec: None
        self.data_of: Callable[[TrialSpec], str] = lambda spec: DATA

    def run_all(
        self,
        specs: Sequence[TrialSpec],
        *,
        executor: str,
        address: str | None,
        at_once: int | None,
        watch: Any,
        **unused: Any,
    ) -> Iterator[Finished]:
        self.calls.append(list(specs))
        for spec in specs:
            outcome = ended_before(spec)
            if outcome is None:
                self.before(spec)
                outcome = self.train(spec)
            yield Finished(spec, outcome)

    def train(self, spec: TrialSpec) -> Outcome:
        self.trained.append(spec)
        writer = begin(spec, self.data_of(spec))
        key, end = workloads.get(WORKLOAD).metric.key, self.end_of(spec)
        seconds = 2.0 if spec.source.framework == "torch" else 1.0  # a thousand steps
        for steps in range(PERIOD, spec.budget.steps + 1, PERIOD) if end != "failed" else ():
            value = self.quality(spec) * steps / HORIZON
            if end == "diverged" and steps == spec.budget.steps:
                value = math.nan
            cpu_s = seconds * steps / 1000
            metrics = {key: value} if steps >= WINDOW * PERIOD else {}
            writer.write(Evaluation(steps, 3 * cpu_s, cpu_s, metrics))
        steps = spec.budget.steps
        cpu_s = seconds * steps / 1000
        outcome = Outcome(end, steps, 3 * cpu_s, cpu_s, "as asked")  # type: ignore[arg-type]
        writer.write(outcome)
        writer.close()
        return outcome

    def stage(self, number: int) -> list[TrialSpec]:
        return self.calls[number]


def begin(spec: TrialSpec, data: str = DATA) -> Writer:
    writer = Writer(spec.record(len(record_attempts(spec.run, spec.key))))
    writer.write(header_of(spec, [], data))
    return writer


def favour(best: str) -> Quality:
    """Accuracies below 0.9, all different; `best`'s first points are better than any other's."""

    def quality(spec: TrialSpec) -> float:
        bonus = 0.2 if spec.submission.startswith(best) else 0.0
        noise = (spec.study % 7) ** 2 * 0.002
        return 0.6 + bonus - 0.01 * spec.trial + 0.0001 * len(spec.submission) - noise

    return quality


@pytest.fixture
def nothing_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that need not hold, as most: trials end at the horizon, and NadamW always counts."""
    monkeypatch.setitem(workloads.family("lifelong").config.scales["toy"], "held", None)


@pytest.fixture
def race_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """`race_set()` runs the procedure on `race_set.cluster`; its file is `race_set.file`."""
    stand_in = Cluster()
    monkeypatch.setattr(cluster, "run_all", stand_in.run_all)
    # For speed alone: sources are read once, and records need not survive a power cut.
    monkeypatch.setattr(stages, "find", FIND)
    monkeypatch.setattr(procedure, "find", FIND)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    monkeypatch.setattr(type(workloads.get(WORKLOAD)), "fetch", lambda self: None)
    facts = {"cpu": "Test CPU", "simd": "avx2", "cores": 1, "digest": "digest-a"}
    monkeypatch.setattr(conclusion, "fingerprint", lambda resources: facts)
    monkeypatch.setattr(conclusion, "versions", lambda: {"torch": "2.13"})

    def call(workload: str = WORKLOAD, **options: Any) -> Result:
        folder, output = tmp_path / "trials", tmp_path / "out"
        said = call.said.append  # type: ignore[attr-defined]
        return procedure.set_targets(
            stages.Settings(workload, folder, output, "in_process", said, **options)
        )

    call.cluster, call.said = stand_in, []  # type: ignore[attr-defined]
    call.file = tmp_path / "out" / "lifelong" / "toy.yaml"  # type: ignore[attr-defined]
    return call


def names(specs: Sequence[TrialSpec]) -> list[str]:
    return sorted({spec.submission for spec in specs})


@pytest.mark.usefixtures("nothing_held")
def test_the_stages_are_as_stated(race_set: Any) -> None:
    race_set()
    *rungs, finals, torch, jax = race_set.cluster.calls
    assert tuple(map(len, race_set.cluster.calls)) == STAGES
    assert names(rungs[0]) == ["adamw", "nadamw", "sgd"]
    assert [{(s.study, s.budget.steps) for s in rung} for rung in rungs] == [
        {(0, 100)}, {(0, 200)}, {(0, 400)}, {(0, HORIZON)}
    ]  # fmt: skip
    assert {spec.study for spec in finals} == {0, 1, 2}
    assert names(torch) == ["nadamw"]
    assert names(jax) == ["nadamw_jax"]
    assert sorted({spec.study for spec in torch}) == list(FRESH)
    assert sorted({spec.study for spec in jax}) == list(FRESH)[:5]
    every = [spec for call in race_set.cluster.calls for spec in call]
    assert all(spec.target is None and spec.clock == "steps" for spec in every)


def test_its_folder_is_held_over_all_stages(race_set: Any, tmp_path: Path) -> None:
    """The stand-in holds nothing while it races."""
    held: list[bool] = []
    race_set.cluster.before = lambda spec: held.append(is_driven(tmp_path / "trials"))
    race_set()
    assert held and all(held)
    assert not is_driven(tmp_path / "trials")


def test_in_jax_the_twins_are_tuned(race_set: Any) -> None:
    race = race_set(framework="jax")
    *rungs, _, own, other = race_set.cluster.calls
    assert names(rungs[0]) == ["adamw_jax", "nadamw_jax", "sgd_jax"]
    assert (names(own), len(own)) == (["nadamw_jax"], 8)
    assert (names(other), len(other)) == (["nadamw"], 5)
    assert race.published.reference["torch"].submission == "nadamw"
    assert race.procedure["tuned"][0]["submission"] == "nadamw"


def test_seeds_are_paired_and_fresh_ones_are_new(race_set: Any) -> None:
    race_set()
    *tuning, torch, jax = race_set.cluster.calls
    seeds = {spec.study: spec.seed for call in race_set.cluster.calls for spec in call}
    for call in race_set.cluster.calls:
        assert all(spec.seed == seeds[spec.study] for spec in call)
    assert len(set(seeds.values())) == 1 + procedure.FINALIST_SEEDS + max(procedure.FRESH_SEEDS)
    before = {spec.seed for call in tuning for spec in call}
    assert before.isdisjoint(spec.seed for spec in [*torch, *jax])


def test_each_method_has_its_points_and_all_of_them_are_published_as_run(
    race_set: Any,
) -> None:
    race_set()
    for name in names(race_set.cluster.stage(0)):
        points = [
            tuple(spec.hyperparameters.items())
            for spec in race_set.cluster.stage(0)
            if spec.submission == name
        ]
        assert len(set(points)) == procedure.POINTS[name]
        values = [value for point in points for _, value in point if isinstance(value, float)]
        assert all(value == float(f"{value:.4g}") for value in values)


def test_the_better_half_goes_on(race_set: Any) -> None:
    race_set()
    for number in range(3):
        before, after = race_set.cluster.stage(number), race_set.cluster.stage(number + 1)
        ranked = sorted(before, key=race_set.cluster.quality, reverse=True)
        assert {spec.key for spec in after} == {spec.key for spec in ranked[: len(before) // 2]}


CANDIDATES = st.lists(st.sampled_from(["nadamw", "adamw", "sgd"]), min_size=2, max_size=48).map(
    lambda names: [stages.Candidate(name, number, {}) for number, name in enumerate(names)]
)


@given(CANDIDATES)
def test_a_half_has_no_strangers_and_a_quarter_of_references(
    ranked: list[stages.Candidate],
) -> None:
    kept = procedure.better_half(ranked)
    assert len(set(kept)) == len(kept) == len(ranked) // 2
    assert set(kept) <= set(ranked)
    ours = [c for c in ranked if c.method == "nadamw"]
    found = [c for c in kept if c.method == "nadamw"]
    assert len(found) >= min(len(ours), math.ceil(len(kept) / 4))
    assert found == ours[: len(found)], "the best of them"


@pytest.mark.usefixtures("nothing_held")
def test_finalists_always_hold_the_best_nadamw(race_set: Any) -> None:
    race_set.cluster.quality = lambda spec: (
        {"adamw": 0.9, "sgd": 0.5}.get(spec.submission.removesuffix("_jax"), 0.7)
        - 0.003 * spec.trial
    )
    race = race_set()
    finals, torch, jax = race_set.cluster.calls[-3:]
    assert names(finals) == ["adamw", "nadamw"]
    assert {s.trial for s in finals if s.submission == "nadamw"} == {0}
    assert len(finals) == 3 * 3
    assert names(torch) == ["adamw", "nadamw"]
    assert names(jax) == ["adamw_jax", "nadamw_jax"]
    assert race.procedure["winner"] == "adamw"
    assert {name: r.submission for name, r in race.published.reference.items()} == {
        "torch": "nadamw",
        "jax": "nadamw_jax",
    }
    ours = next(spec for spec in finals if spec.submission == "nadamw")
    assert race.published.reference["torch"].hyperparameters == dict(ours.hyperparameters)
    assert race.published.target <= 0.7, "the reference meets it too, not the winner alone"


def test_a_winner_that_fails_on_a_fresh_seed_gives_way_to_the_next_finalist(race_set: Any) -> None:
    steady = race_set.cluster.quality
    race_set.cluster.quality = lambda spec: (
        0.1 if (spec.trial, spec.study) == (0, FRESH[-1]) else steady(spec)
    )
    race = race_set()
    assert tuple(map(len, race_set.cluster.calls)) == (*STAGES, *STAGES[-2:])
    first, second = race_set.cluster.stage(5), race_set.cluster.stage(7)
    assert {spec.trial for spec in first} == {0} and {spec.trial for spec in second} == {1}
    assert race.published.reference["torch"].hyperparameters == dict(second[0].hyperparameters)
    (aside,) = race.procedure["unreliable"]
    assert aside["hyperparameters"] == dict(first[0].hyperparameters)
    assert aside["best"]["nadamw"][-1] == 0.1
    assert any("did not reach on every fresh seed" in said for said in race_set.said)
    assert race.published.target > 0.6


def test_seeds_that_differ_more_than_points_do_leave_a_point_reliable(race_set: Any) -> None:
    steady = race_set.cluster.quality
    race_set.cluster.quality = lambda spec: (
        0.35 + 0.02 * (spec.study - FRESH[0]) if spec.study in FRESH else steady(spec)
    )
    race = race_set()
    assert race.procedure["unreliable"] == []
    assert race.published.target < 0.35


def test_no_target_where_no_nadamw_is_reliable(race_set: Any) -> None:
    steady = race_set.cluster.quality
    race_set.cluster.quality = lambda spec: 0.1 if spec.study == FRESH[3] else steady(spec)
    with pytest.raises(WorkloadError, match="every reference among the finalists failed"):
        race_set()


def test_every_fresh_run_meets_the_target_and_the_budget_is_four_times_the_slower_median(
    race_set: Any,
) -> None:
    race = race_set()
    fresh = [*race_set.cluster.stage(5), *race_set.cluster.stage(6)]
    quality = race_set.cluster.quality
    by_framework = {"torch": [], "jax": []}  # type: dict[str, list[float]]
    for spec in fresh:
        by_framework[spec.source.framework].append(quality(spec))
    slack = max(map(statistics.stdev, by_framework.values()))
    assert slack > 0
    loosened = min(map(quality, fresh)) - slack
    assert loosened - 1.1e-4 < race.published.target <= loosened + 1e-6
    medians = {}
    for name, framework, count in (("nadamw_jax", "jax", 5), ("nadamw", "torch", 8)):
        told = race.procedure["fresh"][name]
        assert len(told["steps"]) == len(told["best"]) == count
        assert max(told["steps"]) <= HORIZON
        assert all(math.isfinite(seconds) for seconds in told["cpu_s"])
        medians[framework] = statistics.median(
            round(race.published.target / quality(s) * HORIZON, 1)
            for s in fresh
            if s.source.framework == framework
        )
    assert race.published.budget.steps == math.ceil(4 * max(medians.values()))
    seconds = max(2.0 * medians["torch"], 1.0 * medians["jax"]) / 1000
    assert race.published.budget.seconds == pytest.approx(4 * seconds, rel=0.05)


@pytest.mark.usefixtures("nothing_held")
def test_where_another_method_wins_the_budget_is_still_four_times_the_reference(
    race_set: Any,
) -> None:
    race_set.cluster.quality = favour("adamw")
    race = race_set()
    assert race.procedure["winner"] == "adamw"
    medians = {
        name: (statistics.median(told["steps"]), statistics.median(told["cpu_s"]))
        for name, told in race.procedure["fresh"].items()
    }
    assert medians["nadamw"] > medians["adamw"]
    steps, seconds = (max(column) for column in zip(*medians.values(), strict=True))
    assert race.published.budget.steps == math.ceil(4 * steps)
    assert race.published.budget.seconds == pytest.approx(4 * seconds, rel=0.05)


def test_a_diverged_point_is_ranked_by_what_it_reached(race_set: Any) -> None:
    race_set.cluster.end_of = lambda spec: "diverged" if spec.submission == "sgd" else "budget"
    assert race_set().published.target > 0.65


# Variants


@pytest.mark.usefixtures("nothing_held")
def test_from_its_base_a_variant_races_the_base_s_best_points_alone(race_set: Any) -> None:
    log = workloads.family("lifelong").procedure(WorkloadId.parse(WORKLOAD))
    assert log is not None
    race = race_set(f"{WORKLOAD}+rotated", from_base=True)
    again, torch, jax = race_set.cluster.calls
    told = [(s.submission, dict(s.hyperparameters)) for s in again]
    best = [(t["submission"], t["hyperparameters"]) for t in log["tuned"][:3]]
    reference = workloads.get(WORKLOAD).race.reference["torch"].hyperparameters  # type: ignore[union-attr]
    assert told[:3] == best
    assert ("nadamw", reference) in told
    assert {(s.study, s.budget.steps) for s in again} == {(0, HORIZON)}
    assert {s.study for s in torch} == set(range(1000, 1005))
    assert {s.study for s in jax} == set(range(1000, 1002))
    assert race.procedure["command"] == (
        f"gradathlon set-targets {WORKLOAD}+rotated --from-base --framework torch"
    )


@pytest.mark.parametrize(
    ("workload", "told"),
    [
        (WORKLOAD, "without --from-base"),
        ("recommender-toy-v{}+ctr", "without --from-base"),
        ("lifelong-laptop-v{}+split", "has no target yet; set one with: gradathlon set-targets"),
    ],
)
def test_without_a_base_nothing_is_set_from_it(race_set: Any, workload: str, told: str) -> None:
    family = workload.partition("-")[0]
    named = workload.format(workloads.family(family).config.version)
    with pytest.raises(WorkloadError, match=told):
        race_set(named, from_base=True)
    assert not race_set.cluster.calls


def test_from_a_log_its_points_are_raced_again(race_set: Any, tmp_path: Path) -> None:
    tuned = [
        {"submission": "adamw", "hyperparameters": {"lr": lr}, "best": 0.9}
        for lr in (0.1, 0.2, 0.3, 0.4, 0.5)
    ]
    tuned.append({"submission": "nadamw", "hyperparameters": {"lr": 0.6}, "best": 0.5})
    (tmp_path / "log.json").write_text(json.dumps({"tuned": tuned}))
    race_set(from_log=tmp_path / "log.json")
    raced = [(s.submission, s.hyperparameters["lr"]) for s in race_set.cluster.stage(0)]
    assert raced == [("adamw", 0.1), ("adamw", 0.2), ("adamw", 0.3), ("nadamw", 0.6)]


def test_fewer_points_and_seeds_are_raced_where_asked_and_the_log_says_so(
    race_set: Any, tmp_path: Path
) -> None:
    tuned = [
        {"submission": "nadamw", "hyperparameters": {"lr": lr}, "best": 0.9} for lr in (0.1, 0.2)
    ]
    (tmp_path / "log.json").write_text(json.dumps({"tuned": tuned}))
    race = race_set(from_log=tmp_path / "log.json", framework="jax", points=1, fresh=(3, 0))
    again, fresh = race_set.cluster.calls
    assert [spec.hyperparameters["lr"] for spec in again] == [0.1]
    assert (names(fresh), len(fresh)) == (["nadamw_jax"], 3)
    assert race.procedure["command"] == (
        f"gradathlon set-targets {WORKLOAD} --from-log LOG --points 1 --fresh 3 0 --framework jax"
    )
    references = race.published.reference
    assert references["torch"].steps == []
    assert len(references["jax"].steps) == 3
    assert references["torch"].hyperparameters == references["jax"].hyperparameters
    median = statistics.median(references["jax"].steps)
    assert race.published.budget.steps == math.ceil(4 * median)


def test_a_full_tuning_takes_its_fresh_seeds_from_the_order_too(race_set: Any) -> None:
    race_set(fresh=(2, 1))
    assert tuple(map(len, race_set.cluster.calls)) == (*STAGES[:-2], 2, 1)


def test_points_are_counted_where_there_are_some_to_count(invoke: Any) -> None:
    refused = invoke("set-targets", WORKLOAD, "--points", "2")
    assert refused.exit_code == 2
    assert "--points needs --from-base or --from-log" in refused.stderr


@pytest.mark.parametrize("text", ["", "[]", '{"tuned": []}', '{"tuned": [1]}'])
def test_what_is_no_log_is_told(race_set: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "log.json").write_text(text)
    with pytest.raises(WorkloadError, match=r"log\.json: not a set-targets log with a point of"):
        race_set(from_log=tmp_path / "log.json")


def test_so_many_seeds_of_the_reference_are_measured_as_asked(
    race_set: Any, tmp_path: Path
) -> None:
    settings = stages.Settings(WORKLOAD, tmp_path / "trials", None, "in_process", print)
    race_set.cluster.quality = lambda spec: 0.9
    steps, log = reference.measure(settings, ["jax"], 3)
    (raced,) = race_set.cluster.calls
    assert (names(raced), [spec.study for spec in raced]) == (["nadamw_jax"], [1000, 1001, 1002])
    scale = workloads.get(WORKLOAD).settings
    assert scale.held is not None
    late = 1.5 * scale.step_hint + scale.held.steps
    assert {spec.budget.steps for spec in raced} == {late}, "one that is late has to hold it, too"
    assert len(steps["jax"].steps) == 3 and steps["jax"].data == DATA
    assert log["steps"] == {"jax": steps["jax"].steps} and log["data_sha256"] == {"jax": DATA}


def test_a_seed_that_missed_is_told_and_never_adopted(race_set: Any, tmp_path: Path) -> None:
    settings = stages.Settings(WORKLOAD, tmp_path / "trials", None, "in_process", print)
    race_set.cluster.quality = lambda spec: 0.0 if spec.study == 1001 else 0.9
    steps, log = reference.measure(settings, ["jax"], 3)
    assert [math.isinf(count) for count in steps["jax"].steps] == [False, True, False]
    with pytest.raises(WorkloadError, match=r"not adopted: .* in jax missed .* 1 of 3 fresh seeds"):
        reference.adopt(WORKLOAD, steps, log)


def test_a_target_and_its_references_steps_name_the_data_that_they_are_of(race_set: Any) -> None:
    race = race_set()
    assert {one.data for one in race.published.reference.values()} == {DATA}
    assert race.procedure["data_sha256"] == DATA
    assert race_set.file.read_text().count(f"data: {DATA}") == 2


def test_trials_on_several_data_set_no_target_and_no_steps(race_set: Any, tmp_path: Path) -> None:
    fresh = lambda spec: "e" * 64 if spec.study >= 1000 else DATA  # noqa: E731
    race_set.cluster.data_of = fresh
    with pytest.raises(WorkloadError, match=r"raced on other data \(e{12}\) .* \(d{12}\)"):
        race_set()
    assert not race_set.file.exists(), "nothing was written"
    settings = stages.Settings(WORKLOAD, tmp_path / "again", None, "in_process", print)
    race_set.cluster.quality = lambda spec: 0.9
    race_set.cluster.data_of = lambda spec: "e" * 64 if spec.study == 1002 else DATA
    with pytest.raises(WorkloadError, match=r"study1002-trial0\.jsonl: raced on other data"):
        reference.measure(settings, ["jax"], 3)


# Cut off


def test_a_failed_trial_ends_the_procedure_with_its_reason(race_set: Any) -> None:
    race_set.cluster.end_of = lambda spec: "failed" if spec.trial == 3 else "budget"
    with pytest.raises(WorkloadError, match=r"study0-trial3\.jsonl: no target .* as asked"):
        race_set()
    assert not race_set.file.exists(), "nothing was written"


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [0, 35, 50, 60, 65])
def test_begun_again_it_goes_on_where_it_stood(race_set: Any, after: int) -> None:
    fake = race_set.cluster

    def kill(spec: TrialSpec) -> None:
        if len(fake.trained) == after:
            begin(spec).close()  # cut off at work: a header, and no outcome
            raise Killed

    fake.before = kill
    with pytest.raises(Killed):
        race_set()
    fake.before = lambda spec: None
    again = race_set()
    raced = [(spec.key, spec.budget.steps) for spec in fake.trained]
    once = sum(STAGES) - 2  # two finalists have been raced on the first seed already
    rungs_again = {0: 0, 35: 1, 50: 2, 60: 0, 65: 0}[after]  # its shorter forms' outcomes are lost
    assert len(raced) == once + rungs_again
    stages = [[spec.key for spec in call] for call in fake.calls[-len(STAGES) :]]
    assert race_set() == again
    assert [[spec.key for spec in call] for call in fake.calls[-len(STAGES) :]] == stages
    assert len(fake.trained) == len(raced), "a third time nothing is left to do"


def test_a_stage_begun_again_sees_what_it_first_saw(race_set: Any) -> None:
    """Survivors that were extended since must not be screened by their longer curves."""
    race_set()
    fake, first = race_set.cluster, race_set.cluster.stage(1)
    settings = stages.Settings(WORKLOAD, first[0].run, None, "in_process", print)
    again = stages.Stages(settings, workloads.get(WORKLOAD))
    entries = [(stages.Candidate(s.submission, s.trial, dict(s.hyperparameters)), 0) for s in first]
    curves = again.race("again", entries, HORIZON // 4)
    assert {seen.steps[-1] for seen in curves.values()} == {HORIZON // 4}
    assert len(fake.trained) == sum(STAGES) - 2


# Rounding


def curve(*values: float) -> Curve:
    steps = tuple(range(1, len(values) + 1))
    return Curve(steps, tuple(map(float, steps)), values)


@pytest.mark.parametrize(
    ("goal", "worst", "target"),
    [
        ("min", 2.34561, 2.346),
        ("max", 0.87659, 0.8765),
        ("min", -2.34569, -2.345),
        ("max", -0.87651, -0.8766),
        ("min", 0.0, 0.0),
        ("max", 0.0, 0.0),
        ("min", 123456.0, 123500.0),
        ("max", 0.00123456, 0.001234),
        ("min", 2.346, 2.346),
        ("max", 0.8765, 0.8765),
        ("min", 0.8330000000000001, 0.8331),
        ("max", 0.8329999999999999, 0.8329),
    ],
)
def test_targets_are_rounded_away_from_the_runs(goal: Goal, worst: float, target: float) -> None:
    assert loosest(Metric("m", goal), [curve(worst)]) == target


@given(
    goal=st.sampled_from(["min", "max"]),
    bests=st.lists(
        st.floats(-1e6, 1e6).filter(lambda x: not 0 < abs(x) < 1e-6), min_size=1, max_size=5
    ),
)
def test_every_run_meets_its_target_and_none_much_looser_is_given(
    goal: Goal, bests: list[float]
) -> None:
    metric = Metric("m", goal)
    target = loosest(metric, [curve(best) for best in bests])
    assert all(metric.target(target).met_by(best) for best in bests)
    worst = max(bests) if goal == "min" else min(bests)
    assert abs(target - worst) <= 1.001e-3 * abs(worst)


def test_slack_loosens_a_target() -> None:
    assert loosest(Metric("m", "min"), [curve(1.0)], 0.25) == 1.25
    assert loosest(Metric("m", "max"), [curve(1.0)], 0.25) == 0.75


def test_the_loosest_is_the_worst_run_by_its_best_value() -> None:
    low, high = Metric("m", "min"), Metric("m", "max")
    curves = [curve(3.0, 1.0, 2.0), curve(5.0, 4.0, 1.5)]
    assert loosest(low, curves) == 1.5
    assert loosest(high, curves) == 3.0


@pytest.mark.parametrize("bad", [curve(), curve(math.nan), curve(math.inf)])
def test_no_target_without_a_judged_value(bad: Curve) -> None:
    with pytest.raises(WorkloadError, match="no finite m_mean4"):
        loosest(Metric("m", "min", 4), [curve(1.0), bad])


def test_the_first_crossing_counts() -> None:
    shown = curve(0.1, 0.5, 0.4, 0.9)
    assert first_meeting(Metric("m", "max"), shown, 0.5) == (2, 2.0)
    assert first_meeting(Metric("m", "max"), shown, 0.3) == (1.5, 1.5)
    assert first_meeting(Metric("m", "max"), shown, 0.95) == (math.inf, math.inf)
    assert first_meeting(Metric("m", "min"), shown, 0.1) == (1, 1.0)


# Writing


def a_result(target: float) -> Result:
    reference = Reference(submission="nadamw", hyperparameters={"lr": 1e-5, "n": 3})
    published = Race(
        target=target,
        budget=Limit(steps=400, seconds=20.0),
        reference={"torch": reference, "jax": reference},
    )
    return Result(published, {"date": "2026-01-01"})


def test_a_target_and_its_log_are_files_of_their_own(tmp_path: Path) -> None:
    for id, target in (("lm-toy-v2", 2.5), ("lm-toy-v2+qknorm", 2.25), ("lm-toy-v2", 2.75)):
        write_result(tmp_path / "lm", WorkloadId.parse(id), a_result(target))
    names = sorted(path.name for path in (tmp_path / "lm").iterdir())
    assert names == ["toy+qknorm.procedure.json", "toy+qknorm.yaml", "toy.procedure.json",
                     "toy.yaml"]  # fmt: skip
    text = (tmp_path / "lm" / "toy.yaml").read_text()
    again = parse_yaml(text, Race, "here")
    assert again == a_result(2.75).published, "strict reading gives back what was written"
    log = json.loads((tmp_path / "lm" / "toy.procedure.json").read_text())
    assert log == {"date": "2026-01-01"}


def test_the_procedure_writes_its_result_and_says_where(race_set: Any) -> None:
    result = race_set()
    assert race_set.said[-1] == (
        f"{WORKLOAD}: target {result.published.target:g}, written to {race_set.file}"
    )
    assert yaml.safe_load(race_set.file.read_text())["target"] == result.published.target
    log = json.loads(race_set.file.with_name("toy.procedure.json").read_text())
    assert log["winner"] == "nadamw"
    assert set(log["fresh"]) == {"nadamw", "nadamw_jax"}


def test_adopting_writes_into_a_checkout_and_never_into_an_installed_package(
    tmp_path: Path, monkeypatch: Any
) -> None:
    id, real = WorkloadId.parse("lm-toy-v2"), workloads.family("lm")
    for packages, taken in (("src", True), ("site-packages", False)):
        path = tmp_path / packages / "workloads" / "lm" / "config.yaml"
        family = dataclasses.replace(real, path=path)
        monkeypatch.setattr(writing.workloads, "family", lambda name, family=family: family)
        if taken:
            assert adopted_folder(id) == path.parent / "targets"
            continue
        with pytest.raises(WorkloadError, match="is an installed package, not a checkout"):
            adopted_folder(id)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "lm").write_text("in the way")
    with pytest.raises(WorkloadError, match=r"toy\.yaml: cannot be written: "):
        write_result(tmp_path / "lm", WorkloadId.parse("lm-toy-v2"), a_result(2.5))
