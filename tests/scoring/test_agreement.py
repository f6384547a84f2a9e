"""Trials on different data are never scored together, and one odd record stops no board."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from scoring.agreement import divided, odd_ones
from scoring.board import compute
from scoring.claims import read_claims
from scoring.ground.words import Target, TrialKey
from scoring.records import Record, RecordError, record_path
from suite.cli import main
from tests.scoring.conftest import Run, header, lines, write

LM, SHIFT = "lm-toy-v2", "homeostatic-toy-v3"
TORCH = "reference-torch"
RIGHT, OTHER = "a" * 64, "b" * 64
NewRun = Callable[..., Run]


@pytest.fixture
def race(new_run: NewRun) -> Run:
    run = new_run()
    for name in (TORCH, "adamw", "sgd"):
        run.add(LM, name, [20, 21, 22], data_sha256=RIGHT).add(SHIFT, name, [20, 21, 22])
    return run


def odd(run: Run, workload: str, submission: str, study: int, **changes: Any) -> Path:
    """Write that trial's record anew, with another header."""
    path = record_path(run.folder, TrialKey(workload, submission, study, 0))
    path.unlink()
    named = {"study": study, "data_sha256": RIGHT} | changes
    return write(path, lines(header(workload, submission, **named), 20.0))


CHANGES: dict[str, dict[str, Any]] = {
    "data_sha256": {"data_sha256": OTHER},
    "settings_sha256": {"settings_sha256": OTHER},
    "target": {"target": Target("validation/loss", "min", 1.25)},
    "target: none": {"target": None},
    "source_sha256": {"source_sha256": OTHER},
}


@pytest.mark.parametrize("name", CHANGES)
def test_one_odd_record_is_left_out_and_the_rest_is_scored(race: Run, name: str) -> None:
    before = compute([race.folder])
    path = odd(race, LM, "adamw", 1, **CHANGES[name])
    (refused,) = read_claims(race.folder).refused
    assert refused.key == TrialKey(LM, "adamw", 1, 0)
    assert refused.reason.startswith(f"{path}:1: {name}")
    after = compute([race.folder])
    assert [note for note in after.notes if refused.reason in note]
    then, now = ({row.submission: row for row in board.rows} for board in (before, after))
    for entry in (TORCH, "sgd"):
        assert now[entry].score == then[entry].score
    assert now["adamw"].cells[LM].reached == 2
    result = CliRunner().invoke(main, ["validate", str(race.folder)])
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [refused.reason]


def test_what_is_odd_is_told_with_what_to_do(race: Run) -> None:
    odd(race, LM, "adamw", 1, data_sha256=OTHER)
    (refused,) = read_claims(race.folder).refused
    assert f"{OTHER[:12]}, but 8 of 9 records of {LM} have {RIGHT[:12]}" in refused.reason
    assert "move it away; `gradathlon run --resume` then races that trial again" in refused.reason


def test_an_entrant_has_one_vote_and_the_reference_decides_between_two(new_run: NewRun) -> None:
    run = new_run().add(LM, TORCH, [20, 21], data_sha256=RIGHT)
    run.add(LM, "adamw", [20] * 9, data_sha256=OTHER)
    assert {one.key.submission for one in read_claims(run.folder).refused} == {"adamw"}
    run.add(LM, "sgd", [20], data_sha256=OTHER)
    assert {one.key.submission for one in read_claims(run.folder).refused} == {TORCH}


def test_where_nothing_tells_that_workload_is_left_out_and_no_other(new_run: NewRun) -> None:
    run = new_run()
    for name, digest in (("adamw", RIGHT), ("sgd", OTHER)):
        run.add(LM, name, [20, 21], data_sha256=digest)
    with pytest.raises(RecordError, match=f"{LM}: its trials differ in data, as in "):
        compute([run.folder])
    for name in (TORCH, "adamw", "sgd"):
        run.add(SHIFT, name, [20, 21])
    board = compute([run.folder])
    assert board.workloads == (SHIFT,)
    assert [note for note in board.notes if note.startswith(f"excluded with all its trials: {LM}")]
    result = CliRunner().invoke(main, ["validate", str(run.folder)])
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1


def test_between_two_runs_the_workload_is_left_out(race: Run, new_run: NewRun) -> None:
    """Each agrees with itself, and nothing tells which of them is right."""
    other = new_run("other")
    other.add(LM, "lion", [20], data_sha256=OTHER).add(SHIFT, "lion", [20])
    board = compute([race.folder, other.folder])
    assert board.workloads == (SHIFT,)
    assert {row.submission for row in board.rows} == {TORCH, "adamw", "sgd", "lion"}
    assert compute([other.folder, race.folder]) == board


def test_what_opened_no_data_agrees_with_all(race: Run) -> None:
    odd(race, LM, "adamw", 1, data_sha256="")
    claims = read_claims(race.folder)
    assert claims.refused == []
    assert divided(claims.records) == {}


NAMES = st.sampled_from([TORCH, "adamw", "sgd", "lion"])


@given(st.lists(st.tuples(NAMES, st.sampled_from([RIGHT, OTHER, ""])), min_size=1, max_size=12))
def test_what_is_left_is_of_one_data_set_or_nothing_is_scored(said: list[tuple[str, str]]) -> None:
    records = [
        Record(Path(f"{place}"), header(LM, name, data_sha256=digest), (), (), None)
        for place, (name, digest) in enumerate(said)
    ]
    refused = {one.path for one, _ in odd_ones(records)}
    left = [one for one in records if one.path not in refused]
    assert left, "a majority stays"
    told = {one.header.data_sha256 for one in left} - {""}
    assert (len(told) > 1) == (LM in divided(left))
    backwards = {one.path for one, _ in odd_ones(records[::-1])}
    assert backwards == refused
    again = [dataclasses.replace(one) for one in left]
    assert not list(odd_ones(again)), "what was agreed on stays agreed on"
