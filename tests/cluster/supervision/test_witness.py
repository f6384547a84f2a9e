from __future__ import annotations

import time
from pathlib import Path

import pytest

from cluster.spec import Update
from cluster.supervision.witness import Witness
from scoring.ground.words import TrialKey
from scoring.records import Evaluation, Outcome, Record

KEY = TrialKey("w", "s", 0, 0)


def says(
    monkeypatch: pytest.MonkeyPatch,
    clock_s: float,
    passed_s: float,
    cpu_s: float,
    *lines: int,
    more: dict[str, float] | None = None,
) -> dict[str, object]:
    """What a witness says of a trial whose evaluations it heard of were at steps 100 and 200."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    seen = Witness()
    for steps in (0, 100, 200):
        seen.hear(Update(KEY, "training", steps, clock_s * steps / 200), 3.0)
        now[0] += passed_s / 3
    now[0] = 1000.0 + passed_s
    seen.end()
    told = {"evaluation_s": 2.0, "checkpoint_s": 1.0} | (more or {})
    outcome = Outcome("budget", 200, clock_s, 0.0, "", told)
    evaluations = tuple(Evaluation(steps, 0.0, 0.0, {}) for steps in lines)
    record = Record(Path(), None, evaluations, (), outcome)  # type: ignore[arg-type]
    return seen.says(outcome, record, 3.0 + cpu_s, 1)


def test_an_honest_trial_is_not_doubted(monkeypatch: pytest.MonkeyPatch) -> None:
    said = says(monkeypatch, 20.0, 23.5, 22.0, 100, 200)
    assert said == {"witness_wall_s": 23.5, "witness_cpu_s": 22.0, "off_clock_share": 0.1489}


def test_the_references_turns_are_told_and_no_reason_to_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They take up to 8 % of the time; by so much more it may rise beside a busy neighbour."""
    turns = {"reference_turns_s": 4.0}
    assert "doubt" in says(monkeypatch, 20.0, 27.0, 22.0, 100, 200)
    assert "doubt" not in says(monkeypatch, 20.0, 27.0, 22.0, 100, 200, more=turns)


@pytest.mark.parametrize(
    ("clock_s", "passed_s", "cpu_s", "lines", "doubt"),
    [
        (1.0, 23.0, 22.0, (100, 200), "23.0 s passed, of which the trial reports 4.0 s"),
        (20.0, 5.0, 5.0, (100, 200), "20.0 s on the clock within 5.0 s"),
        (20.0, 23.0, 46.0, (100, 200), "46.0 CPU s within 23.0 s on 1 core(s)"),
        (20.0, 23.0, 22.0, (1, 100, 200), "an evaluation at step 1 that was not reported"),
    ],
)
def test_what_does_not_fit_is_doubted(
    monkeypatch: pytest.MonkeyPatch,
    clock_s: float,
    passed_s: float,
    cpu_s: float,
    lines: tuple[int, ...],
    doubt: str,
) -> None:
    assert says(monkeypatch, clock_s, passed_s, cpu_s, *lines)["doubt"] == doubt
