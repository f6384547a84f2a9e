"""What replays of whole races say that pruning would have saved, on races that can be reckoned."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import pytest

from scoring.forecast import OPTIMISM
from scoring.lines import Line
from scoring.pruning import FASTEST, MEDIAN, REFERENCE
from scoring.records import Evaluation, Outcome, record_path
from tests.benchmarks import forecast, hours_saved
from tests.benchmarks.forecast import Trial
from tests.scoring.conftest import Run, header, write

New = Callable[..., Run]


def test_hours_saved_are_those_of_each_rule(
    new_run: New, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = new_run().add("lm-toy-v2", "reference-torch", [100.0, 100.0, 100.0])
    run.add("lm-toy-v2", "adamw", [[50.0, 80.0], [200.0, 60.0], [math.inf, 70.0]])
    done, spent, divisor, same = hours_saved.replayed([run.folder])["adamw", "lm-toy-v2"]
    assert (spent, divisor, same) == (50 + 80 + 200 + 60 + 400 + 70, 100.0, True)
    # The second trial at the first's 50 s; when 50 and 60 are known, the last study at 60 s.
    assert done.saved == {FASTEST: 30.0, REFERENCE: 0.0, MEDIAN: 340.0 + 10.0}
    assert done.times == {0: 50.0, 1: 60.0, 2: math.inf}
    monkeypatch.setattr(sys, "argv", ["hours_saved", str(run.folder)])
    hours_saved.main()
    printed = capsys.readouterr().out
    assert "| adamw | 0 | 0 | 0 | 0 | 44 % |" in printed
    assert printed.endswith("1 submissions on workloads, scores that changed: 0\n")


def trial(study: int, time: float, ran: float, *shortfalls: tuple[float, float]) -> Trial:
    return Trial("a", ("w", "a", study), time, ran, shortfalls)


def test_what_an_optimism_comes_to() -> None:
    trials = [
        trial(0, 90.0, 90.0, (40.0, 1.5), (60.0, 0.5)),
        trial(0, 100.0, 100.0, (50.0, 9.0)),
        trial(1, 80.0, 80.0, (50.0, 5.0)),
        trial(2, math.inf, 200.0, (50.0, 0.9), (100.0, 3.0)),
    ]
    careless = forecast.outcome(trials, 1.0)
    assert (careless.met, careless.wrong, careless.studies, careless.lost) == (3, 3, 2, 2)
    assert careless.share_saved == pytest.approx((50 + 50 + 30 + 100) / 470)
    middle = forecast.outcome(trials, 2.0)
    assert (middle.wrong, middle.lost) == (2, 1), "the first study keeps its fastest trial"
    bold = forecast.outcome(trials, 10.0)
    assert (bold.saved, bold.wrong, bold.lost, bold.share_wrong) == (0.0, 0, 0, 0.0)
    assert forecast.outcome([], 1.0).share_saved == 0.0


def test_a_submission_is_left_out_of_the_choice_for_it() -> None:
    safe = [Trial("a", ("w", "a", 0), math.inf, 100.0, ((50.0, 99.0),))]
    late = [Trial("b", ("w", "b", 0), 90.0, 90.0, ((50.0, 5.0),))]
    total, chosen = forecast.left_out([*safe, *late])
    assert chosen == {"a": 6.0, "b": 1.0}, "b's own late success is not seen by its choice"
    assert (total.wrong, total.met) == (1, 1)


def curve(head_of: dict[str, object], aim: float, exponent: float, count: int = 50) -> list[Line]:
    """A power law that is at 1 + `aim` at the limit of 400 s."""
    head = header(**head_of)  # type: ignore[arg-type]
    seen = []
    for place in range(1, count + 1):
        time = 8.0 * place
        value = aim + (time / 400.0) ** -exponent
        seen.append(Evaluation(80 * place, time, time, {"validation/loss": value}))
        if value <= 1.0:
            break
    end = "reached" if seen[-1].metrics["validation/loss"] <= 1.0 else "budget"
    last = seen[-1]
    return [head, *seen, Outcome(end, last.steps, last.wall_s, last.cpu_s, "why")]  # type: ignore[arg-type]


def test_known_curves_are_replayed(new_run: New) -> None:
    run = new_run().add("lm-toy-v2", "reference-torch", [100.0])
    for number, aim in enumerate((0.5, -0.1)):
        name = ("misses", "meets")[number]
        body = curve({"submission": name}, aim, 0.5)
        write(record_path(run.folder, body[0].key), body)  # type: ignore[union-attr]
    misses, meets = sorted(forecast.replayed([run.folder]), key=lambda one: one.met)
    assert (misses.submission, misses.ran, misses.time) == ("misses", 400.0, math.inf)
    assert meets.time == meets.ran < 400.0
    assert misses.stop(1.0) == 80.0, "at a fifth of the limit, the first time it is asked"
    assert meets.stop(OPTIMISM) == math.inf
    assert forecast.outcome([misses, meets], OPTIMISM).share_wrong == 0.0
    assert "<svg" in forecast.picture(
        [forecast.outcome([misses, meets], k) for k in forecast.OPTIMISMS]
    )
