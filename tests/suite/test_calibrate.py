"""Calibration on a cluster that trains nobody, and once on a real one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

import workloads
from cluster.attempts import header_of, write_not_begun
from cluster.run_lock import drive, is_driven
from cluster.spec import ClusterError, TrialSpec
from scoring.forecast import OPTIMISM
from scoring.records import Outcome, Writer, record_attempts
from suite import config
from suite.trials import record_of
from workloads.config import Race

from .conftest import REFERENCES, FakeCluster, Told, race

MINE = """\
SEARCH_SPACE = {"lr": {"min": 1e-3, "max": 1.0, "scaling": "log"}}
def submission(params, lr=0.5, decay=0.1): ...
"""
WORKLOADS = ["lm-toy-v2", "recommender-toy-v3", "homeostatic-toy-v3"]
STEPS, REFERENCE = 400, 100
"""The budget of every workload here, and the reference's time: a quarter of it."""

Ratio = Callable[[TrialSpec], float]


def bowl(spec: TrialSpec) -> float:
    """Best at lr = 0.03, elsewhere slower, a little more so on some seeds."""
    off = abs(math.log10(spec.hyperparameters["lr"] / 0.03))
    return 0.8 + 2.0 * off + 0.05 * (spec.seed % 3)


class Racing(FakeCluster):
    """Trials meet their targets at `ratio` times the reference's time, unless they are stopped."""

    ratio: Ratio = staticmethod(bowl)

    def train(self, spec: TrialSpec) -> Outcome:
        self.trained.append(spec)
        if spec.stop is not None and spec.stop.after <= 0:
            return write_not_begun(spec)
        assert spec.target is not None
        time = min(self.ratio(spec) * REFERENCE, math.inf)
        latest = spec.stop.after if spec.stop else math.inf
        most = spec.budget.reference_steps or STEPS
        met = time <= min(most, latest)
        end = "reached" if met else "pruned" if latest < most else "budget"
        end = self.end_of(spec) if self.end_of(spec) == "failed" else end
        at = time if met else min(most, latest)
        paired = at if spec.pace else None
        off = 1.0 if spec.target.goal == "min" else -1.0
        value = spec.target.value + (0.0 if met else off)
        writer = Writer(spec.record(len(record_attempts(spec.run, spec.key))))
        whole = math.lcm(20, workloads.get(spec.workload).metric.window)  # evaluation periods
        steps = whole * max(1, min(math.ceil(at / whole), spec.budget.steps // whole))
        outcome = Outcome(end, steps, at / 10, at / 10, end, paired=paired)  # type: ignore[arg-type]
        writer.write(header_of(spec, []))
        if end != "failed":
            Told(spec, writer).write(steps, at / 10, value, paired)
        writer.write(outcome)
        writer.close()
        return outcome


@pytest.fixture
def racing(fake: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> Racing:
    import cluster

    stand_in = Racing()
    monkeypatch.setattr(cluster, "run_all", stand_in.run_all)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    Path("mine.py").write_text(MINE)
    Path("three.yaml").write_text(
        yaml.safe_dump(
            {
                "title": "three",
                "workloads": WORKLOADS,
                "submissions": ["mine.py"],
                "ruleset": "external",
                "studies": 1,
                "clock": "paired",
            }
        )
    )
    return stand_in


CALIBRATE = ("calibrate", "mine.py", "--suite", "three.yaml", "--points", "12", "-o", "out")


def test_the_point_found_is_the_best_of_all_and_a_suite_can_race_it(
    racing: Racing, invoke: Any
) -> None:
    result = invoke(*CALIBRATE)
    assert result.exit_code == 0, result.output
    screened = [spec for spec in racing.trained if spec.study == 0]
    lrs = {spec.trial: spec.hyperparameters["lr"] for spec in screened}
    assert len(lrs) == 12 and lrs[0] == 0.5, "the defaults are the first candidate"
    best = min(lrs.values(), key=lambda lr: abs(math.log10(lr / 0.03)))
    suite = config.load("out/calibrated.yaml").suite
    assert suite.points == {"mine": [{"lr": best}]}
    assert suite.workloads == WORKLOADS and suite.clock == "paired"
    log = json.loads(Path("out/calibration.json").read_text())
    assert log["finalists"][0]["point"] == {"lr": best}
    assert log["finalists"][0]["ratios"]["lm-toy-v2"] == pytest.approx(0.85, abs=0.35)
    assert log["trials"] == len(racing.trained)
    assert f"mine at lr={best:.4g}: score" in result.stdout
    assert "on 3 workloads, 3 fresh seeds; at least 5 seeds are needed to say how" in result.stdout
    dry = invoke("run", "out/calibrated.yaml", "--dry-run")
    assert dry.exit_code == 0 and f"lr={best:.4g}" in dry.stdout


@pytest.mark.parametrize(
    "words", [CALIBRATE, ("tune", "mine.py", "lm-toy-v2", "-o", "out")], ids=lambda words: words[0]
)
def test_a_calibration_that_is_shown_to_others_does_not_name_its_user(
    words: Sequence[str], racing: Racing, invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = str(Path("mine.py").absolute())
    monkeypatch.setenv("HOME", str(Path(mine).parent))
    first = invoke(words[0], mine, *words[2:])
    assert first.exit_code == 0, first.output
    told = [path.read_text() for path in Path("out").iterdir() if path.is_file()]
    assert len(told) == 3 and all("~/mine.py" in text for text in told)
    assert not any(mine in text for text in told)
    resumed = invoke(
        words[0], mine, *(["lm-toy-v2"] * (words[0] == "tune")), "--resume", "-o", "out"
    )
    assert (resumed.exit_code, resumed.stdout) == (0, first.stdout)
    assert config.load("out/calibrated.yaml").suite.submissions == [mine]
    assert invoke("run", "out/calibrated.yaml", "--dry-run").exit_code == 0


def test_the_shape_is_as_stated(racing: Racing, invoke: Any) -> None:
    shaped = invoke(*CALIBRATE, "--finalists", "2", "--seeds", "4")
    assert shaped.exit_code == 0, shaped.output[-700:]
    screen = [spec for spec in racing.trained if spec.study == 0]
    finals = [spec for spec in racing.trained if spec.study > 0]
    points = [len({s.trial for s in screen if s.workload == id}) for id in WORKLOADS]
    assert points[0] == 12 and points == sorted(points, reverse=True)
    assert len(finals) == 2 * 4 * 3
    assert all(spec.stop is None for spec in finals), "the fresh seeds are none of them ended early"
    by_place = {(spec.workload, spec.study): spec.seed for spec in racing.trained}
    assert all(by_place[spec.workload, spec.study] == spec.seed for spec in racing.trained)
    assert len(set(by_place.values())) == len(by_place), "no fresh seed was seen before"


def test_steps_of_another_machines_data_are_no_unit_of_time(
    racing: Racing, raced: dict[str, Race], invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("calibrate", "mine.py", "--suite", "three.yaml", "--points", "4", "--clock", "steps")
    assert invoke(*words, "-o", "without").exit_code == 0
    shipped = {"steps": [5.0] * 5, "data": "b" * 64}
    quick = {name: one.model_copy(update=shipped) for name, one in REFERENCES.items()}
    raced["lm-toy-v2"] = race(reference=quick)
    monkeypatch.setattr(type(workloads.get("lm-toy-v2")), "made_here_sha256", lambda self: "a" * 64)
    result = invoke(*words, "-o", "with")
    told = "lm-toy-v2: its shipped reference steps were measured on other data (bbbbbbbbbbbb; "
    assert (result.exit_code, result.stderr.count(told)) == (0, 1)
    found = [json.loads(Path(f"{one}/calibration.json").read_text()) for one in ("without", "with")]
    assert found[0]["finalists"] == found[1]["finalists"]


def test_a_suites_budget_holds_and_is_no_other_unit_of_time(racing: Racing, invoke: Any) -> None:
    whole = invoke(*CALIBRATE)
    assert whole.exit_code == 0, whole.output
    budgets = {spec.workload: spec.budget.reference_steps for spec in racing.trained}
    half = yaml.safe_load(Path("three.yaml").read_text()) | {"budget_factor": 0.5}
    Path("three.yaml").write_text(yaml.safe_dump(half))
    racing.trained.clear()
    again = invoke(*CALIBRATE[:-1], "half")
    assert again.exit_code == 0, again.output
    for spec in racing.trained:
        assert spec.budget.reference_steps == pytest.approx((budgets[spec.workload] or 0) / 2)
    logs = [
        json.loads(Path(f"{folder}/calibration.json").read_text()) for folder in ("out", "half")
    ]
    assert logs[0]["finalists"] == logs[1]["finalists"], "the fastest need no more than half"
    assert config.load("half/calibrated.yaml").suite.budget_factor == 0.5


def test_limits_spare_trials_and_change_nobody_who_goes_on(
    racing: Racing, invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = invoke(*CALIBRATE, "--clock", "steps")
    stopped = [spec for spec in racing.trained if spec.stop]
    ends = {record_of(spec).outcome.end for spec in racing.trained}  # type: ignore[union-attr]
    assert stopped and "pruned" in ends
    told = yaml.safe_load(Path("out/calibration.yaml").read_text())
    assert told["clock"] == "steps"
    monkeypatch.setattr("suite.calibration.calibrate.latest_ratio", lambda *given: math.inf)
    full = invoke(*CALIBRATE[:-1], "full", "--clock", "steps")
    table = [text.partition("It took")[0] for text in (found.stdout, full.stdout)]
    assert table[0] == table[1]
    rungs = [
        json.loads((Path(where) / "calibration.json").read_text()) for where in ("out", "full")
    ]
    assert rungs[0]["rungs"] == rungs[1]["rungs"]
    assert rungs[0]["core_hours"] < rungs[1]["core_hours"]


def test_forecasts_are_asked_for_on_the_ladder_alone(racing: Racing, invoke: Any) -> None:
    assert invoke(*CALIBRATE, "--prune", "forecast").exit_code == 0
    screened = [spec.stop for spec in racing.trained if spec.study == 0]
    assert screened and all(stop and stop.optimism == OPTIMISM for stop in screened)
    assert all(spec.stop is None for spec in racing.trained if spec.study > 0)
    assert yaml.safe_load(Path("out/calibration.yaml").read_text())["prune"] == "forecast"
    again = invoke("calibrate", "mine.py", "--resume", "-o", "out", "--prune", "exact")
    assert again.exit_code == 2 and "was started with forecast" in again.output


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [0, 5, 20, 30])
def test_begun_again_it_goes_on_where_it_stood(racing: Racing, invoke: Any, after: int) -> None:
    def kill(spec: TrialSpec) -> None:
        if len(racing.trained) == after:
            raise Killed

    racing.before = kill
    with pytest.raises(Killed):
        invoke(*CALIBRATE)
    refused = invoke(*CALIBRATE)
    assert refused.exit_code == 2 and "already holds trials; continue them with --resume" in (
        refused.output
    )
    racing.before = lambda spec: None
    found = invoke("calibrate", "mine.py", "--resume", "-o", "out")
    assert found.exit_code == 0, found.output
    assert len({spec.key for spec in racing.trained}) == len(racing.trained)
    whole = invoke(*CALIBRATE[:-1], "whole")
    assert found.stdout == whole.stdout


@pytest.mark.parametrize(
    "words", [CALIBRATE, ("tune", "mine.py", "lm-toy-v2", "-o", "out")], ids=lambda words: words[0]
)
def test_where_another_process_has_just_begun_nothing_is_written(
    words: Sequence[str], racing: Racing, invoke: Any
) -> None:
    with drive(Path("out")):
        result = invoke(*words)
        assert (result.exit_code, racing.trained) == (2, [])
        assert "is already racing this run; wait for it to end" in result.stderr
        assert [path.name for path in Path("out").iterdir()] == ["driver.lock"]
    assert invoke(*words).exit_code == 0


def test_its_folder_is_held_over_all_stages(racing: Racing, invoke: Any) -> None:
    """The stand-in holds nothing while it races."""
    held: list[bool] = []

    def look(spec: TrialSpec) -> None:
        held.append(is_driven(Path("out")))
        if len(held) in (1, 20):  # in the first stage, and in another
            raise KeyboardInterrupt

    racing.before = look
    resume = ("calibrate", "mine.py", "--resume", "-o", "out")
    assert [invoke(*words).exit_code for words in (CALIBRATE, resume, resume)] == [130, 130, 0]
    assert len(held) > 30 and all(held)
    assert not is_driven(Path("out"))


def test_one_that_is_stopped_tells_how_it_goes_on(racing: Racing, invoke: Any) -> None:
    def stop(spec: TrialSpec) -> None:
        raise KeyboardInterrupt

    racing.before = stop
    result = invoke(*CALIBRATE)
    assert result.exit_code == 130
    folder = Path("out").absolute()
    assert result.stderr.endswith(
        f"to continue: the same command with --resume -o {folder}\ngradathlon: stopped\n"
    )
    racing.before = lambda spec: None
    assert invoke("calibrate", "mine.py", "--resume", "-o", str(folder)).exit_code == 0


@pytest.mark.parametrize("there", [False, True])
def test_one_that_could_not_begin_leaves_its_folder_as_it_was(
    there: bool, racing: Racing, invoke: Any
) -> None:
    def refuse(spec: TrialSpec) -> None:
        raise ClusterError("no cluster here")

    racing.before = refuse
    if there:
        Path("out").mkdir()
        Path("out/notes").touch()
    assert invoke(*CALIBRATE).exit_code == 2
    assert [str(path) for path in Path("out").glob("*")] == ["out/notes"] * there
    assert Path("out").exists() == there
    racing.before = lambda spec: None
    assert invoke(*CALIBRATE).exit_code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--points", "8"), "points 8: the calibration in "),
        (("--clock", "steps"), "clock steps: the calibration in "),
        (("--suite", "demo"), "suite demo: the calibration in "),
    ],
)
def test_what_was_begun_goes_on_as_it_was_begun(
    racing: Racing, invoke: Any, words: Sequence[str], told: str
) -> None:
    invoke(*CALIBRATE)
    result = invoke("calibrate", "mine.py", "--resume", "-o", "out", *words)
    assert result.exit_code == 2 and told in result.output
    assert "was started with" in result.output


def test_a_text_that_changed_is_not_gone_on_with(racing: Racing, invoke: Any) -> None:
    invoke(*CALIBRATE)
    Path("mine.py").write_text(MINE + "\n# better\n")
    result = invoke("calibrate", "mine.py", "--resume", "-o", "out")
    assert result.exit_code == 2 and "mine.py: changed since the calibration in" in result.output


def test_failures_score_nothing_and_are_told(racing: Racing, invoke: Any) -> None:
    racing.end_of = lambda spec: "failed" if spec.trial in (3, 4) else "reached"
    result = invoke(*CALIBRATE)
    assert result.exit_code == 0, result.output[-700:]
    assert "of 24 trials failed and score 0: failed (" in result.stderr
    racing.end_of = lambda spec: "failed"
    result = invoke(*CALIBRATE[:-1], "other")
    assert result.exit_code == 2 and "mine: every trial failed: failed (" in result.output


def test_where_nobody_meets_a_target_that_is_said(racing: Racing, invoke: Any) -> None:
    racing.ratio = lambda spec: math.inf
    result = invoke("tune", "mine.py", "lm-toy-v2", "--points", "4", "--seeds", "2", "-o", "out")
    assert result.exit_code == 0
    assert "No finalist met a target in most of its seeds" in result.stdout
    assert "missed" in result.stdout


def test_the_defaults_meet_the_fresh_seeds_when_asked_to(racing: Racing, invoke: Any) -> None:
    result = invoke("tune", "mine.py", "lm-toy-v2", "--points", "6", "--defaults", "-o", "out")
    assert "lr=0.5 (defaults)" in result.stdout
    assert {spec.trial for spec in racing.trained if spec.study > 0} >= {0}
    begun = invoke("tune", "mine.py", "lm-toy-v2", "--resume", "-o", "out")
    assert begun.stdout == result.stdout


def test_nothing_to_tune_is_an_error(racing: Racing, invoke: Any) -> None:
    Path("plain.py").write_text("def submission(params, lr=0.1): ...\n")
    result = invoke("tune", "plain.py", "lm-toy-v2")
    assert result.exit_code == 2
    assert "plain has no SEARCH_SPACE, so there is nothing to calibrate" in result.output
    assert not Path("runs").exists(), "the corrected command finds no used folder"


def test_a_workload_without_a_target_is_refused(
    racing: Racing, invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import workloads

    planned = workloads.get

    def get(text: str) -> Any:
        workload = planned(text)
        workload.race = None
        return workload

    monkeypatch.setattr(workloads, "get", get)
    result = invoke("tune", "mine.py", "lm-toy-v2", "--clock", "steps", "-o", "out")
    assert result.exit_code == 2
    assert "set-targets lm-toy-v2" in result.output and not Path("out").exists()


def test_a_list_of_points_is_tried_as_it_stands(racing: Racing, invoke: Any) -> None:
    Path("listed.py").write_text(
        'SEARCH_SPACE = [{"lr": 0.1}, {"lr": 0.02}, {"lr": 0.9}]\ndef submission(params, lr): ...\n'
    )
    result = invoke("tune", "listed.py", "lm-toy-v2", "--finalists", "1", "--seeds", "1")
    assert "listed at lr=0.02: score" in result.stdout and "the only finalist" in result.stdout


@pytest.mark.network
@pytest.mark.slow
def test_a_real_one(gradathlon: Any) -> None:
    words = ("tune", "adamw", "homeostatic-toy-v3", "--points", "3", "--finalists", "1")
    done = gradathlon(*words, "--seeds", "1", "--clock", "steps", "-o", "out", timeout=600)
    assert done.code == 0, done.err
    assert "adamw at lr=" in done.out or "No finalist met a target" in done.out
    assert "core-hours from first step to last" in done.out
