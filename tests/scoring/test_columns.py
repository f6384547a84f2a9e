"""Evaluations read at once are those read line by line, and nothing else is accepted."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scoring import records
from scoring.columns import Evaluations, readings, values, within
from scoring.details import LARGEST
from scoring.records import Evaluation, Outcome, RecordError, encode, read_record
from tests.scoring.conftest import header

LOSS = "validation/loss"
metrics = st.one_of(st.floats(), st.integers(-(2**60), 2**60))


def line(place: int, **changes: object) -> str:
    given: dict[str, object] = {
        "steps": 10 * place,
        "wall_s": float(place),
        "cpu_s": place / 2,
        "metrics": {LOSS: 2.0, "other": place},
    }
    return encode(Evaluation(**{**given, **changes}))  # type: ignore[arg-type]


def record(folder: Path, lines: list[str], end: str = "budget") -> Path:
    path = folder / "study0-trial0.jsonl"
    outcome = Outcome(end, 10**6, 1e6, 1e6, "because")  # type: ignore[arg-type]
    path.write_text("\n".join([encode(header()), *lines, encode(outcome), ""]))
    return path


def by_line(path: Path) -> records.Record:
    return records._read_by_line(path, path.read_bytes())


def plain(found: records.Record) -> list[str]:
    """The evaluations as text, in which a NaN equals another."""
    return [
        repr((one.steps, one.wall_s, one.cpu_s, one.paired))
        + repr({name: float(value) for name, value in one.metrics.items()})
        for one in found.evaluations
    ]


@settings(max_examples=50)
@example(rows=[0.0] * records.MANY + [LARGEST + 1], paired=False)
@example(rows=[0.0] * records.MANY + [math.nan, math.inf, -LARGEST], paired=True)
@given(rows=st.lists(metrics, min_size=records.MANY, max_size=20), paired=st.booleans())
def test_what_is_read_at_once_is_what_is_read_by_line(
    tmp_path_factory: pytest.TempPathFactory, rows: list[float], paired: bool
) -> None:
    turns = {"paired": 3.0} if paired else {}
    lines = [
        line(place, metrics={LOSS: 2.0, "x": row}, **turns) for place, row in enumerate(rows, 1)
    ]
    path = record(tmp_path_factory.mktemp("run"), lines)
    if any(isinstance(row, int) and abs(row) > LARGEST for row in rows):
        with pytest.raises(RecordError, match="beyond 2"):
            read_record(path)
        return
    found, expected = read_record(path), by_line(path)
    assert plain(found) == plain(expected)
    assert found.outcome == expected.outcome


PLAIN = [line(place) for place in range(1, records.MANY + 3)]


def test_plain_evaluations_stand_in_columns(tmp_path: Path) -> None:
    found = read_record(record(tmp_path, PLAIN)).evaluations
    assert isinstance(found, Evaluations)
    assert found == by_line(record(tmp_path, PLAIN)).evaluations
    assert found[-1].steps == 10 * len(PLAIN)
    assert [one.steps for one in found[2:4]] == [30, 40]
    for clock in ("wall", "cpu", "steps", "paired"):
        assert readings(found, clock).tolist() == readings(list(found), clock).tolist()
    for name in (LOSS, "other", "none"):
        assert repr(values(found, name).tolist()) == repr(values(list(found), name).tolist())
    assert within(header(), found).tolist() == within(header(), list(found)).tolist()


def test_metrics_that_some_evaluations_lack_stand_in_columns(tmp_path: Path) -> None:
    lines = [*PLAIN]
    lines[0] = line(1, metrics={LOSS: 2.0})
    lines[4] = line(5, metrics={"more": math.inf, LOSS: 2.0})
    path = record(tmp_path, lines)
    found, expected = read_record(path).evaluations, by_line(path).evaluations
    assert isinstance(found, Evaluations)
    assert [one.metrics for one in found] == [one.metrics for one in expected]
    assert [one.metrics for one in found[3:6]] == [one.metrics for one in expected[3:6]]
    for name in (LOSS, "other", "more"):
        assert repr(values(found, name).tolist()) == repr(values(expected, name).tolist())


@pytest.mark.parametrize(
    ("place", "changed"),
    [
        (4, line(5, steps=40)),
        (4, line(5, steps=35)),
        (4, line(5, wall_s=3.0)),
        (4, line(5, cpu_s=1.0)),
        (4, line(5, steps=10**5)),
        (4, line(5, wall_s=-1.0)),
        (4, line(5).replace("5.0", '"5"')),
        (4, line(5).replace("5.0", "true")),
        (4, line(5).replace("50", "50.0")),
        (4, line(5).replace('"wall_s": 5.0, ', "")),
        (4, line(5).replace('"steps"', '"kind": "song", "steps"')),
        (4, line(5).replace("2.0", "null")),
        (4, line(5, metrics={LOSS: 2.0, "more": 1.0}).replace("1.0", "null")),
        (4, line(5, metrics={LOSS: 2.0}).replace("2.0", "true")),
        (4, line(5).replace('"metrics": {', '"metrics": [{').replace("}}", "}]}")),
        (4, line(5) + "]"),
        (4, line(5) + "," + line(6)),
        (4, encode(header())),
        (9, encode(Outcome("reached", 10**6, 1e6, 1e6, "not true"))),
    ],
)
def test_what_is_wrong_is_refused_in_the_same_words(
    tmp_path: Path, place: int, changed: str
) -> None:
    lines = [*PLAIN]
    lines[place] = changed
    path = record(tmp_path, lines)
    with pytest.raises(RecordError) as expected:
        by_line(path)
    with pytest.raises(RecordError) as raised:
        read_record(path)
    assert str(raised.value) == str(expected.value)


@pytest.mark.parametrize(
    "changed",
    [
        line(5, metrics={LOSS: math.nan}),
        line(5).replace('": ', '":'),
        line(5).replace('"steps"', '"mood": "sunny", "steps"'),
    ],
)
def test_other_forms_are_read_by_line(tmp_path: Path, changed: str) -> None:
    lines = [*PLAIN]
    lines[4] = changed
    path = record(tmp_path, lines)
    assert plain(read_record(path)) == plain(by_line(path))
