from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.ground.words import Budget, Target, TrialKey
from scoring.records import (
    Evaluation,
    EventLine,
    Header,
    Line,
    Outcome,
    RecordError,
    Writer,
    decode,
    encode,
    read_record,
    read_run,
    record_attempts,
    record_files,
    record_path,
)
from tests.scoring.conftest import header, lines, write

reals = st.floats(allow_nan=False, allow_infinity=False)
seconds = st.floats(0, 1e10)
names = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20)
digests = st.just("") | st.text("0123456789abcdef", min_size=64, max_size=64)
counts = st.integers(0, 10**9)
details = st.dictionaries(names.map(lambda name: f"x{name}"), st.one_of(reals, counts, names))
headers = st.builds(
    Header,
    workload=names,
    submission=names,
    framework=st.sampled_from(["torch", "jax"]),
    study=counts,
    trial=counts,
    seed=counts,
    hyperparameters=details,
    source_sha256=digests,
    target=st.none() | st.builds(Target, names, st.sampled_from(["min", "max"]), reals),
    budget=st.builds(Budget, counts, st.floats(0)),
    clock=st.sampled_from(["wall", "cpu", "steps"]),
    hardware=details,
    versions=st.dictionaries(names, names),
    ruleset=st.sampled_from(["external", "self"]),
)
evaluations = st.builds(
    Evaluation, counts, seconds, seconds, st.dictionaries(names, st.floats(allow_nan=False))
)
events = st.builds(EventLine, counts, seconds, names, details)
outcomes = st.builds(
    Outcome,
    st.sampled_from(["reached", "budget", "diverged", "pruned", "failed"]),
    counts,
    seconds,
    seconds,
    names,
    details,
)


def key(study: int, trial: int) -> TrialKey:
    return TrialKey("lm-toy-v2", "adamw", study, trial)


@given(st.one_of(headers, evaluations, events, outcomes))
def test_a_line_comes_back_as_it_was_written(line: Line) -> None:
    text = encode(line)
    assert "\n" not in text
    assert decode(text) == line


def test_unknown_header_keys_are_ignored_and_unknown_formats_refused() -> None:
    body = json.loads(encode(header()))
    assert decode(json.dumps(body | {"mood": "sunny"})) == header()
    with pytest.raises(ValueError, match="newer Gradathlon"):
        decode(json.dumps(body | {"format": 2}))
    with pytest.raises(ValueError, match=r"expected 1, found 1\.0"):
        decode(json.dumps(body | {"format": 1.0}))


def test_a_record_is_read_back_in_order(tmp_path: Path) -> None:
    event = EventLine(60, 6.0, "shift", {"classes": [1, 2]})
    head, first, second, outcome = lines(header(), 12.0)
    path = write(tmp_path / "study0-trial0.jsonl", [head, first, event, second, outcome])
    record = read_record(path)
    assert record.header == head
    assert [one.wall_s for one in record.evaluations] == [6.0, 12.0]
    assert record.events == (event,)
    assert record.outcome == outcome
    assert not record.torn


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_is_left_out_and_told(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path / "study0-trial0.jsonl", lines(header(), 12.0))
    path.write_bytes(path.read_bytes()[:-cut])
    record = read_record(path)
    assert record.torn
    assert record.outcome is None
    assert len(record.evaluations) == 2


def test_a_writer_never_overwrites(tmp_path: Path) -> None:
    path = write(tmp_path / "study0-trial0.jsonl", lines(header(), 12.0))
    with pytest.raises(FileExistsError):
        Writer(path)


def test_a_writer_begins_with_what_an_earlier_attempt_had_seen(tmp_path: Path) -> None:
    first = Writer(tmp_path / "study0-trial0.jsonl")
    for line in lines(header(), 12.0)[:2]:
        first.write(line)
    first.close()
    second = Writer(tmp_path / "study0-trial0.1.jsonl", seen=tuple(first.lines))
    assert second.lines == first.lines
    second.close()
    assert second.path.read_bytes() == first.path.read_bytes()


@pytest.mark.parametrize("damage", ["not json", '{"kind": "eval"}', '{"kind": "song"}', "[]"])
def test_a_damaged_line_is_named_by_file_and_number(tmp_path: Path, damage: str) -> None:
    path = write(tmp_path / "study0-trial0.jsonl", lines(header(), 12.0))
    texts = path.read_text().splitlines()
    texts[1] = damage
    path.write_text("\n".join(texts) + "\n")
    with pytest.raises(RecordError, match=r"study0-trial0\.jsonl:2: ") as raised:
        read_record(path)
    assert "\n" not in str(raised.value)


def test_a_file_without_header_is_no_record(tmp_path: Path) -> None:
    path = write(tmp_path / "study0-trial0.jsonl", lines(header(), 12.0)[1:])
    with pytest.raises(RecordError, match="no header"):
        read_record(path)


def test_the_highest_attempt_counts(tmp_path: Path) -> None:
    paths = [record_path(tmp_path, key(0, 0), attempt) for attempt in range(11)]
    for attempt in (0, 2, 10):
        write(paths[attempt], lines(header(), 10.0 + attempt))
    write(record_path(tmp_path, key(1, 0)), lines(header(study=1), 5.0))
    assert [path.name for path in record_files(tmp_path)] == [
        "study0-trial0.10.jsonl",
        "study1-trial0.jsonl",
    ]
    ended: list[Any] = [record.outcome for record in read_run(tmp_path)]
    assert [outcome.wall_s for outcome in ended] == [20.0, 5.0]


def test_attempts_are_listed_in_order(tmp_path: Path) -> None:
    for attempt in range(12):
        path = record_path(tmp_path, key(0, 1), attempt)
        write(path, lines(header(trial=1), 10.0))
    write(record_path(tmp_path, key(0, 10)), lines(header(trial=10), 10.0))
    attempts = record_attempts(tmp_path, key(0, 1))
    assert [path.name for path in attempts][:3] == [
        "study0-trial1.jsonl",
        "study0-trial1.1.jsonl",
        "study0-trial1.2.jsonl",
    ]
    assert len(attempts) == 12


def test_a_folder_that_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="not a run"):
        read_run(tmp_path)


def test_a_mistyped_run_is_told_with_the_nearest_beside_it(tmp_path: Path) -> None:
    (tmp_path / "first" / "trials").mkdir(parents=True)
    with pytest.raises(RecordError, match="frist: not a run: no such folder; did you mean 'first'"):
        read_run(tmp_path / "frist")
    for number in range(30):
        (tmp_path / f"run{number}" / "trials").mkdir(parents=True)
    with pytest.raises(RecordError, match=r"no such folder$"):
        read_run(tmp_path / "frist")


def test_a_trial_that_died_within_its_first_line_is_no_trial_yet(tmp_path: Path) -> None:
    path = record_path(tmp_path, key(0, 0))
    path.parent.mkdir(parents=True)
    path.write_text(encode(header())[:20])
    assert read_run(tmp_path) == []
