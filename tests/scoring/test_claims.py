"""Records are claims: what cannot be is one line with file and line, and touches no other entry."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from scoring.board import Board, Row, compute
from scoring.claims import read_claims
from scoring.ground.words import Budget, Target, TrialKey
from scoring.lines import Evaluation, Outcome, decode, encode
from scoring.records import RecordError, record_path
from suite.cli import main
from tests.scoring.conftest import TARGET, Run, header, lines, write
from tests.scoring.plans import write_plan

LM, SHIFT = "lm-toy-v2", "homeostatic-toy-v1"
TORCH = "reference-torch"
PLANNED, OTHER = "a" * 64, "b" * 64
NewRun = Callable[..., Run]
Lines = list[dict[str, Any]]


def row(board: Board, name: str) -> Row:
    return next(row for row in board.rows if row.submission == name)


def change(place: int, **values: Any) -> Callable[[Lines], None]:
    def damage(body: Lines) -> None:
        body[place].update(values)

    return damage


def repeat(place: int) -> Callable[[Lines], None]:
    return lambda body: body.insert(place, dict(body[place]))


DAMAGES = {
    "negative clock": (change(1, wall_s=-5.0), 2, "wall_s: expected finite seconds"),
    "falling clock": (change(2, cpu_s=0.1), 3, "cannot run backwards"),
    "infinite clock": (change(2, wall_s=math.inf), 3, "wall_s: expected finite"),
    "NaN clock": (change(2, wall_s=math.nan), 3, "wall_s: expected finite"),
    "falling steps": (change(2, steps=1), 3, "steps must not decrease"),
    "steps twice": (change(2, steps=100), 3, "steps must not decrease"),
    "huge steps": (change(2, steps=10**400), 3, "a number beyond 2"),
    "steps as text": (change(1, steps="100"), 2, "steps: expected a whole number"),
    "beyond the budget": (change(2, steps=4001), 3, "beyond the budget of 4000"),
    "metrics as text": (change(1, metrics="0.5"), 2, "metrics: expected a mapping of names"),
    "metrics null": (change(1, metrics=None), 2, "metrics: expected a mapping of names"),
    "metric as list": (change(1, metrics={"a": [1]}), 2, "metrics.a: expected a number"),
    "no end": (change(3, end="won"), 4, "'won' is not a valid end"),
    "end against hit": (change(3, end="budget"), 4, "an evaluation met the target"),
    "end without hit": (change(2, metrics={TARGET.metric: 2.0}), 4, "no evaluation met"),
    "two headers": (repeat(0), 2, "second header"),
    "two outcomes": (repeat(3), 5, "second outcome"),
    "newer": (change(0, format=2), 1, "newer Gradathlon"),
    "another study": (change(0, study=7), 1, "study: 7, but its path says 1"),
    "negative study": (change(0, study=-1), 1, "study: expected a whole number"),
    "framework list": (change(0, framework=["torch"]), 1, "framework: "),
    "no such clock": (change(0, clock="sundial"), 1, "clock: "),
    "hardware null": (change(0, hardware=None), 1, "hardware: "),
    "goal": (change(0, target={"metric": "a", "goal": "up", "value": 1}), 1, "target.goal: "),
    "target text": (change(0, target={"metric": "a", "goal": "min", "value": "1"}), 1, "target."),
}


@pytest.fixture
def race(new_run: NewRun) -> Run:
    times = [20, 21, 22, 19, 18]
    return new_run().add(LM, TORCH, times).add(LM, "adamw", times).add(LM, "sgd", times)


@pytest.mark.parametrize("name", DAMAGES)
def test_what_cannot_be_is_one_line_and_touches_no_other(race: Run, name: str) -> None:
    damage, number, reason = DAMAGES[name]
    before = compute([race.folder])
    path = record_path(race.folder, TrialKey(LM, "adamw", 1, 0))
    body = [json.loads(text) for text in path.read_text().splitlines()]
    damage(body)
    path.write_text("".join(json.dumps(one) + "\n" for one in body))
    (refused,) = read_claims(race.folder).refused
    assert refused.reason.startswith(f"{path}:{number}: ")
    assert reason in refused.reason
    assert "\n" not in refused.reason
    after = compute([race.folder])
    assert any(refused.reason in note for note in after.notes)
    assert row(after, "sgd").cells == row(before, "sgd").cells
    assert row(after, "sgd").score == row(before, "sgd").score
    assert row(after, "adamw").cells[LM].study_times[1] == math.inf


@pytest.mark.parametrize("kind", ["folder", "fifo", "dangling", "empty line", "latin"])
def test_what_is_no_file_of_lines_is_told_and_does_not_hang(race: Run, kind: str) -> None:
    path = record_path(race.folder, TrialKey(LM, "adamw", 1, 0))
    text = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "empty line":
        path.write_bytes(text.replace(b"\n", b"\n\n", 1))
    else:
        path.write_bytes(text.replace(b"adamw", b"adam\xff", 1))
    (refused,) = read_claims(race.folder).refused
    assert refused.key == TrialKey(LM, "adamw", 1, 0)
    assert str(path) in refused.reason
    assert len(compute([race.folder]).rows) == 3


@pytest.mark.parametrize(
    ("steps", "ended_at", "refused"),
    [
        ((100, 250, 300), None, True),
        ((100, 200, 250), 300, True),
        ((100, 200, 250), 250, False),  # the submission said that it had trained enough
        ((100, 200, 250), None, False),  # and is about to end
        ((30,), 30, False),
    ],
)
def test_off_the_grid_is_only_a_trials_end_where_the_record_names_its_numbers(
    steps: tuple[int, ...], ended_at: int | None, refused: bool, tmp_path: Path
) -> None:
    head = header(settings_sha256="ab" * 32)
    path = record_path(tmp_path, head.key)
    last = Outcome("budget", ended_at or 0, 99.0, 99.0, "it ended its training")
    seen = [Evaluation(step, step / 10, step / 10, {TARGET.metric: 2.0}) for step in steps]
    write(path, [head, *seen, *([last] if ended_at else [])])
    claims = read_claims(tmp_path)
    assert len(claims.records) == (not refused)
    for one in claims.refused:
        assert "steps: 250 is not a multiple of the evaluation period 100" in one.reason


def test_validate_lists_every_problem(race: Run) -> None:
    assert CliRunner().invoke(main, ["validate", str(race.folder)]).exit_code == 0
    for study in (1, 3):
        path = record_path(race.folder, TrialKey(LM, "adamw", study, 0))
        path.write_text(path.read_text().replace('"wall_s": ', '"wall_s": -'))
    result = CliRunner().invoke(main, ["validate", str(race.folder)])
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 2
    assert "study1-trial0.jsonl:2: wall_s" in result.stdout


def test_a_name_that_begins_like_the_reference_s_is_an_entry(race: Run) -> None:
    before = row(compute([race.folder]), "adamw").score
    race.add(LM, "reference-mine", [1, 1, 1, 1, 1])
    after = compute([race.folder])
    assert row(after, "adamw").score == before
    assert not row(after, "reference-mine").is_reference


def planned(new_run: NewRun, studies: int = 5) -> Run:
    run = new_run()
    course = (TARGET, Budget(4000, 400.0))
    write_plan(run.folder, {LM: course}, {"adamw": 1, "sgd": 1}, studies, frameworks=("torch",))
    times = [20, 21, 22, 19, 18][:studies]
    return run.add(LM, TORCH, times).add(LM, "adamw", times).add(LM, "sgd", times)


def test_deleting_missed_studies_gains_nothing(new_run: NewRun) -> None:
    run = planned(new_run)
    for study in (0, 1, 2):
        record_path(run.folder, TrialKey(LM, "sgd", study, 0)).unlink()
    board = compute([run.folder])
    assert row(board, "sgd").score == 0.0
    assert row(board, "sgd").cells[LM].trials == 5
    assert "3 of 5 planned trials of sgd are missing: counted as missed" in board.notes


def test_a_submission_without_any_record_stands_with_nothing(new_run: NewRun) -> None:
    run = planned(new_run)
    for study in range(5):
        record_path(run.folder, TrialKey(LM, "sgd", study, 0)).unlink()
    board = compute([run.folder])
    assert row(board, "sgd").score == 0.0
    assert not [note for note in board.notes if "hardware" in note or "rulesets" in note]


def test_a_workload_that_was_not_planned_stands_apart(new_run: NewRun) -> None:
    run = planned(new_run)
    before = compute([run.folder])
    run.add(SHIFT, TORCH, [20])
    after = compute([run.folder])
    assert after.workloads == (LM,)
    assert row(after, "adamw").score == row(before, "adamw").score
    assert any(note.startswith(f"{SHIFT} was not planned") for note in after.notes)


@pytest.mark.parametrize(
    ("word", "changes"),
    [
        ("target: validation/loss <= 1.2,", {"target": Target("validation/loss", "min", 1.2)}),
        ("target: validation/loss >= 1.0,", {"target": Target("validation/loss", "max", 1.0)}),
        ("budget: 4000 steps and 500 s,", {"budget": Budget(4000, 500.0)}),
        ("budget: 4000 steps and 400 s and 9 reference steps,", {"budget": Budget(4000, 400.0, 9)}),
        ("clock: cpu", {"clock": "cpu"}),
        ("seed: 8", {"seed": 8}),
        ("study: 5", {"study": 5}),
        ("trial: 1", {"trial": 1}),
    ],
)
def test_another_race_than_the_planned_one_is_refused(
    new_run: NewRun, word: str, changes: dict[str, Any]
) -> None:
    run = planned(new_run)
    head = header(submission="adamw", **changes)
    path = record_path(run.folder, head.key)
    path.unlink(missing_ok=True)
    write(path, lines(head, 20))
    (refused,) = read_claims(run.folder).refused
    assert f"{path}:1: {word}" in refused.reason
    told = re.search(r": \w+: (.+), but run.yaml planned (.+);", refused.reason)
    assert told, refused.reason
    assert told[1] != told[2], "what differs is to be seen"


@pytest.mark.parametrize(
    ("word", "changes"),
    [
        (f"source_sha256: {OTHER}", {"source_sha256": OTHER}),
        ("hyperparameters.lr: 0.02", {"hyperparameters": {"lr": 0.02}}),
        (f"settings_sha256: {OTHER}", {"settings_sha256": OTHER}),
    ],
)
def test_another_entry_than_the_planned_one_is_refused(
    new_run: NewRun, word: str, changes: dict[str, Any]
) -> None:
    run = new_run()
    plan = write_plan(run.folder, {LM: (TARGET, Budget(4000, 400.0))}, {"adamw": 1}, 1)
    body = plan.model_dump(mode="json")
    body["texts"]["adamw.py"] = {"name": "adamw", "origin": "adamw.py", "sha256": PLANNED}
    body["submissions"]["adamw"]["points"] = [[{"lr": 0.01}]]
    body["workloads"][LM]["settings_sha256"] = PLANNED
    (run.folder / "run.yaml").write_text(yaml.safe_dump(body))
    right = {"source_sha256": PLANNED, "settings_sha256": PLANNED}
    head = header(LM, "adamw", **(right | changes))
    write(record_path(run.folder, head.key), lines(head, 20))
    (refused,) = read_claims(run.folder).refused
    assert f"study0-trial0.jsonl:1: {word}" in refused.reason


def test_a_reference_has_no_second_trial(new_run: NewRun) -> None:
    """It would be the faster of two."""
    run = planned(new_run)
    before = row(compute([run.folder]), "adamw").score
    head = header(submission=TORCH, trial=1)
    write(record_path(run.folder, head.key), lines(head, 5))
    (refused,) = read_claims(run.folder).refused
    assert "trial: 1, but run.yaml planned 1 trial a study" in refused.reason
    assert row(compute([run.folder]), "adamw").score == before


def test_a_damaged_plan_is_one_line(new_run: NewRun) -> None:
    run = planned(new_run)
    (run.folder / "run.yaml").write_text("format: 1\nname: [\n")
    result = CliRunner().invoke(main, ["score", str(run.folder)])
    assert result.exit_code == 2
    assert "run.yaml:" in result.stderr


def test_lines_are_standard_json_and_old_literals_are_read() -> None:
    line = Outcome("failed", 1, 1.0, 1.0, "x", {"test": {"loss": math.inf, "more": [math.nan]}})

    def refuse(word: str) -> None:
        raise AssertionError(word)

    assert json.loads(encode(line), parse_constant=refuse)["test"]["loss"] == "Infinity"
    old = '{"kind": "eval", "steps": 1, "wall_s": 1, "cpu_s": 1, "metrics": {"a": NaN}}'
    for text in (old, old.replace("NaN", '"NaN"')):
        read = decode(text)
        assert isinstance(read, Evaluation)
        assert math.isnan(read.metrics["a"])


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@given(st.integers(0, 3), st.data())
def test_whatever_a_key_holds_a_line_is_read_or_refused_in_one_line(
    place: int, data: st.DataObject
) -> None:
    body = json.loads(encode(lines(header(), 12.0)[place]))
    body[data.draw(st.sampled_from(sorted(body)))] = data.draw(anything)
    said = ""
    try:
        decode(json.dumps(body))
    except ValueError as error:
        said = str(error)
    assert "\n" not in said


def test_no_believable_trial_at_all_is_an_error(new_run: NewRun) -> None:
    run = new_run().add(LM, "adamw", [20])
    path = record_path(run.folder, TrialKey(LM, "adamw", 0, 0))
    path.write_text("[]\n")
    with pytest.raises(RecordError, match=r"left out: .*:1: not a JSON object"):
        compute([run.folder])
