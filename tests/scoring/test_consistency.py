"""What the lines of one record say of each other."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from scoring.columns import Evaluations
from scoring.ground.words import Target
from scoring.records import Evaluation, EventLine, Line, Outcome, RecordError, read_record
from tests.scoring.conftest import header, write

MEAN = Target("accuracy_mean2", "max", 0.8)
STEADY = [0.5, 0.6, 0.7, 0.9, 0.9]


def means(values: list[float]) -> list[float | None]:
    return [None, *((a + b) / 2 for a, b in itertools.pairwise(values))]


def with_means(path: Path, told: list[float | None], settings: str = "") -> Path:
    head = header(target=MEAN, settings_sha256=settings)
    body: list[Line] = [head]
    for number, (value, mean) in enumerate(zip(STEADY, told, strict=True), 1):
        metrics = {"accuracy": value} | ({} if mean is None else {"accuracy_mean2": mean})
        body.append(Evaluation(number * 10, float(number), float(number), metrics))
    return write(path, [*body, Outcome("reached", 50, 5.0, 5.0, "because")])


def test_a_mean_is_that_of_its_values(tmp_path: Path) -> None:
    assert read_record(with_means(tmp_path / "sound.jsonl", means(STEADY))).outcome
    for place in range(5):
        told = means(STEADY)
        told[place] = 0.95
        with pytest.raises(RecordError, match=rf"jsonl:{place + 2}: metrics.accuracy_mean2: "):
            read_record(with_means(tmp_path / f"{place}.jsonl", told))


def test_a_mean_without_its_values_is_another_tools(tmp_path: Path) -> None:
    for settings in ("", "ab" * 32):
        path = with_means(tmp_path / f"{settings}.jsonl", means(STEADY), settings)
        path.write_text(path.read_text().replace('"accuracy": 0.7, ', ""))
        if settings:
            with pytest.raises(RecordError, match="a mean of only "):
                read_record(path)
        else:
            assert read_record(path).outcome


def test_many_evaluations_with_events_among_them_are_held_in_order(tmp_path: Path) -> None:
    body: list[Line] = [header()]
    for number in range(1, 31):
        body.append(EventLine(number * 10, float(number), "shift", {}))
        body.append(Evaluation(number * 10, float(number), float(number), {"validation/loss": 2.0}))
    body.append(Outcome("budget", 300, 30.0, 30.0, "because"))
    whole = read_record(write(tmp_path / "whole.jsonl", body))
    assert (len(whole.evaluations), len(whole.events)) == (30, 30)
    assert isinstance(whole.evaluations, Evaluations)
    for place, steps, wall_s in ((21, 91, 11.0), (21, 99, 10.5), (21, 121, 11.0), (21, 110, 13.0)):
        damaged = [*body]
        damaged[place] = EventLine(steps, wall_s, "shift", {})
        name = f"{steps}-{wall_s}.jsonl"
        with pytest.raises(RecordError, match=r"jsonl:2[23]: (steps|wall_s): .* after"):
            read_record(write(tmp_path / name, damaged))
