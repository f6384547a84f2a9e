from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from rich.console import Console

from cluster.spec import Finished, TrialSpec, Update
from scoring.ground.words import Budget, Clock, Target
from scoring.records import Outcome
from submissions.source import parse
from suite.live import PERIOD_S, PlainLines, duration, end_line, one_line, screen, summary
from suite.progress import Counts, Progress

SOURCE = parse("mine", "def submission(params, lr=0.1): ...\n", "mine.py")


def spec(study: int = 0, workload: str = "lm-toy-v2", seconds: float = 40.0) -> TrialSpec:
    return TrialSpec(
        run=Path("/run"),
        workload=workload,
        submission="mine",
        source=SOURCE,
        hyperparameters={},
        study=study,
        trial=0,
        seed=1,
        target=Target("validation/loss", "min", 2.5),
        budget=Budget(400, seconds),
    )


def ended(trial: TrialSpec, end: str = "reached", wall_s: float = 10.0) -> Finished:
    reason = "Traceback\nValueError: no" if end == "failed" else "met the target"
    return Finished(trial, Outcome(end, 120, wall_s, wall_s, reason))  # type: ignore[arg-type]


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_counts_follow_the_news() -> None:
    trials = [spec(study) for study in range(4)]
    progress = Progress(trials)
    progress.update(Update(trials[0].key, "queued"))
    progress.update(Update(trials[1].key, "waiting for a core"))
    assert progress.counts() == Counts(4, done=0, reached=0, failed=0, running=0, coreless=1)
    assert progress.update(Update(trials[0].key, "preparing"))
    assert not progress.update(Update(trials[0].key, "training", 10))
    progress.update(Update(trials[1].key, "training", 20))
    progress.finish(ended(trials[0]))
    progress.finish(ended(trials[2], "failed"))
    assert progress.counts() == Counts(total=4, done=2, reached=1, failed=1, running=1)
    assert [news.steps for _, news in progress.running()] == [20]


def test_news_after_the_end_bring_no_trial_back() -> None:
    trial = spec()
    progress = Progress([trial])
    progress.update(Update(trial.key, "training"))
    progress.finish(ended(trial))
    assert not progress.update(Update(trial.key, "training", 200))
    assert progress.counts().running == 0


def test_time_left_is_unknown_until_a_trial_has_made_steps() -> None:
    trials = [spec(0), spec(1)]
    progress = Progress(trials)
    progress.update(Update(trials[0].key, "training", 0, 0.0))
    assert progress.remaining() is None
    assert "time left unknown" in summary(progress)


def test_before_a_trial_has_ended_its_pace_bounds_the_time_left() -> None:
    time = Time()
    trials = [spec(0), spec(1)]
    progress = Progress(trials, time)
    progress.update(Update(trials[0].key, "training", trials[0].budget.steps // 4, 5.0))
    time.now += 6.0
    # Three quarters of a budget and a whole one, 35 s of work, are left, one after the other.
    assert progress.remaining() == pytest.approx(35.0)
    assert summary(progress).endswith("at most about 35.0 s left")
    progress.finish(ended(trials[0]))
    assert "at most" not in summary(progress)


def test_time_left_scales_the_time_passed_by_the_work_left() -> None:
    time = Time()
    trials = [spec(study) for study in range(4)]
    progress = Progress(trials, time)
    progress.update(Update(trials[0].key, "training"))
    progress.update(Update(trials[1].key, "training", 50, 5.0))
    progress.finish(ended(trials[0], wall_s=10.0))
    time.now += 12.0
    # 15 s of work took 12 s; the half of a trial and two whole ones, 25 s of work, are left.
    assert progress.remaining() == pytest.approx(12.0 * 25.0 / 15.0)


@pytest.mark.parametrize("wall_s", [0.0, 9.99, 10.0, 35.0])
def test_as_long_as_a_trial_runs_some_time_is_left(wall_s: float) -> None:
    time = Time()
    trials = [spec(study) for study in range(5)]
    progress = Progress(trials, time)
    for trial in trials:
        progress.update(Update(trial.key, "training"))
    for trial in trials[:4]:
        progress.finish(ended(trial, wall_s=10.0))
    progress.update(Update(trials[4].key, "training", 50, wall_s))
    time.now += 10.0
    left = progress.remaining()
    assert left is not None
    assert left >= max(10.0 - wall_s, 1.0)
    assert "about 0.0 s left" not in summary(progress)


def test_a_workload_nobody_has_ended_is_judged_by_its_budget() -> None:
    time = Time()
    quick, slow = spec(0), spec(0, "lm-laptop-v2", seconds=400.0)
    progress = Progress([quick, slow], time)
    progress.update(Update(quick.key, "training"))
    progress.finish(ended(quick, wall_s=10.0))
    time.now += 20.0
    assert progress.remaining() == pytest.approx(20.0 * 100.0 / 10.0)


def test_trials_of_an_earlier_session_do_not_count_as_work_done() -> None:
    trials = [spec(0), spec(1)]
    progress = Progress(trials)
    progress.finish(ended(trials[0]))
    assert progress.remaining() is None


def test_plain_lines_tell_starts_ends_and_now_and_then_the_whole() -> None:
    time = Time()
    said: list[str] = []
    trials = [spec(0), spec(1)]
    lines = PlainLines(Progress(trials, time), said.append, time)
    lines.update(Update(trials[0].key, "queued"))
    assert said == []
    lines.update(Update(trials[0].key, "preparing"))
    lines.update(Update(trials[0].key, "training", 10, 1.0))
    assert said == ["start lm-toy-v2 mine study 0 trial 0"]
    time.now += PERIOD_S
    lines.update(Update(trials[0].key, "training", 20, 2.0))
    lines.update(Update(trials[0].key, "training", 30, 3.0))
    assert said[1:] == [
        "0/2 done, 1 running, 0 reached, 0 failed; 30.0 s elapsed, at most about 1 min 18 s left"
    ]
    lines.finish(ended(trials[0]))
    assert said[2:] == ["[1/2] lm-toy-v2 mine study 0 trial 0: reached after 120 steps, 10.0 s"]


def test_a_wait_for_cores_that_others_hold_is_told() -> None:
    said: list[str] = []
    trials = [spec(0), spec(1)]
    progress = Progress(trials)
    lines = PlainLines(progress, said.append)
    for trial in trials:
        lines.update(Update(trial.key, "waiting for a core"))
    assert said == [
        "lm-toy-v2 mine study 0 trial 0 waits: other trials on this machine hold its cores"
    ]
    assert summary(progress).startswith("0/2 done, 0 running, 2 waiting for a core, 0 reached")
    lines.update(Update(trials[0].key, "preparing"))
    lines.finish(ended(trials[1]))
    assert progress.counts().coreless == 0


def test_a_failure_tells_what_was_raised() -> None:
    assert end_line(ended(spec(), "failed")).endswith(
        "failed after 120 steps, 10.0 s: ValueError: no"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (60, "1 min 00 s"),
        (125, "2 min 05 s"),
        (12000, "3 h 20 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_one_line_of_nothing() -> None:
    assert one_line(" \n") == "no reason given"


@pytest.fixture
def rendered() -> Callable[..., str]:
    def render(progress: Progress, width: int = 80) -> str:
        console = Console(record=True, width=width, file=open("/dev/null", "w"))  # noqa: SIM115
        console.print(screen(progress))
        console.file.close()
        return console.export_text()

    return render


def test_the_table_shows_each_running_trial(rendered: Callable[..., str]) -> None:
    trials = [spec(0), spec(1), spec(2)]
    progress = Progress(trials)
    progress.update(Update(trials[0].key, "training", 150, 12.5, 2.7182))
    progress.update(Update(trials[1].key, "warming up"))
    text = rendered(progress)
    row = next(line for line in text.splitlines() if "150/400" in line)
    for part in ("lm-toy-v2", "mine", "2.718", "2.5", "12/40 s", "0.0"):
        assert part in row
    assert "warming up" in text
    assert "0/3 done, 2 running" in text
    assert sum("lm-toy-v2" in line for line in text.splitlines()) == 2


@pytest.mark.parametrize(("clock", "paired"), [("paired", 100.0), ("steps", None)])
def test_seconds_that_limit_nothing_are_no_limit(
    clock: Clock, paired: float | None, rendered: Callable[..., str]
) -> None:
    trial = dataclasses.replace(spec(), budget=Budget(400, 40.0, paired), clock=clock)
    progress = Progress([trial])
    progress.update(Update(trial.key, "training", 150, 12.5))
    (row,) = [line for line in rendered(progress).splitlines() if "150/400" in line]
    assert row.split("150/400")[1].split() == ["2.5", "12", "s"]


def test_a_narrow_terminal_shortens_names_and_keeps_numbers(
    rendered: Callable[..., str],
) -> None:
    trial = spec(0, "homeostatic-laptop-v3+seasons")
    progress = Progress([trial])
    progress.update(Update(trial.key, "training", 150, 12.5, 0.98765))
    row = rendered(progress, 70).splitlines()[-1]
    assert len(row) <= 70
    for part in ("homeost", "…", "0.0", "150/400", "0.9877", "2.5", "12/40 s"):
        assert part in row


def test_a_trial_put_back_runs_no_more_and_has_its_work_before_it() -> None:
    time = Time()
    trials = [spec(study) for study in range(2)]
    progress = Progress(trials, time)
    progress.update(Update(trials[0].key, "training"))
    progress.update(Update(trials[1].key, "training", 50, 5.0))
    progress.finish(ended(trials[0], wall_s=10.0))
    time.now += 10.0
    # Half of a trial, which no other core can take a part of.
    assert progress.remaining() == pytest.approx(5.0)
    progress.update(Update(trials[1].key, "queued"))
    assert progress.counts().running == 0
    assert progress.remaining() == pytest.approx(10.0 * 10.0 / 10.0)
    assert not progress.update(Update(trials[1].key, "preparing")), "it has begun before"
    assert progress.counts().running == 1


def test_a_screen_has_room_for_so_many_rows(rendered: Callable[..., str]) -> None:
    trials = [spec(study) for study in range(50)]
    progress = Progress(trials)
    for trial in trials:
        progress.update(Update(trial.key, "preparing"))
    lines = rendered(progress).splitlines()
    assert sum("preparing" in line for line in lines) == 40
    assert lines[-1].strip() == "and 10 more"


def lines_run(call: Callable[[], object]) -> int:
    """How many lines of `suite` a call carries out."""
    count = 0

    def trace(frame: FrameType, event: str, value: object) -> Callable[..., object] | None:
        nonlocal count
        if "/suite/" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def half_done(trials: int) -> Progress:
    progress = Progress([spec(study) for study in range(trials)])
    for study in range(trials // 2):
        progress.update(Update(spec(study).key, "preparing"))
        progress.finish(ended(spec(study)))
    for study in range(trials // 2, trials // 2 + 4):
        progress.update(Update(spec(study).key, "training", 10, 1.0))
    return progress


def test_news_and_a_look_cost_the_same_however_many_trials_there_are() -> None:
    costs = set()
    for trials in (20, 2000):
        progress = half_done(trials)
        last = spec(trials - 1)
        look = lines_run(lambda progress=progress: screen(progress))
        begin = lines_run(
            lambda progress=progress, last=last: progress.update(Update(last.key, "preparing"))
        )
        end = lines_run(lambda progress=progress, last=last: progress.finish(ended(last)))
        costs.add((look, begin, end))
    assert len(costs) == 1
    assert min(*costs.pop()) > 0
