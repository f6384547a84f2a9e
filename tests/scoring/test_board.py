from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scoring.board import Board, Row, compute
from scoring.frame import load
from scoring.ground.words import TrialKey
from scoring.records import Evaluation, EventLine, Outcome, RecordError, record_path
from scoring.report.tables import terminal
from tests.scoring.conftest import HARDWARE, Run, header, lines, write

LM, SHIFT = "lm-toy-v2", "homeostatic-toy-v3"
TORCH, JAX = "reference-torch", "reference-jax"
NewRun = Callable[..., Run]


@pytest.fixture
def race(new_run: NewRun) -> Run:
    """Two workloads; torch takes twice jax's time; `fast` is twice as fast as its reference."""
    run = new_run()
    for workload in (LM, SHIFT):
        run.add(workload, TORCH, [20, 21, 22, 19, 18])
        run.add(workload, JAX, [10, 10.5, 11, 9.5, 9])
        run.add(workload, "fast", [10, 10.5, 11, 9.5, 9])
        run.add(workload, "twin_jax", [10, 10.6, 10.9, 9.5, 9.1])
        run.add(workload, "slow", [[math.inf, 50], [50, 52], [51, math.inf], 50, 50])
    return run


def row(board: Board, name: str) -> Row:
    return next(row for row in board.rows if row.submission == name)


def test_a_board_of_two_workloads_and_two_frameworks(race: Run) -> None:
    board = compute([race.folder])
    assert (board.protocol, board.clock) == ("gradathlon", "wall")
    assert board.workloads == (SHIFT, LM)
    order = [(one.rank_low, one.submission, one.framework) for one in board.rows]
    assert order == [
        (1, "fast", "torch"),
        (0, JAX, "jax"),
        (0, TORCH, "torch"),
        (2, "twin_jax", "jax"),
        (3, "slow", "torch"),
    ]
    assert row(board, "fast").score == pytest.approx((4 - 0.5) / 3)
    assert row(board, TORCH).score == 1.0
    assert row(board, TORCH).is_reference
    cell = row(board, "slow").cells[LM]
    assert cell.time == 50.0
    # Two trials in some studies: the reference counts as the faster of two.
    assert cell.ratio == pytest.approx(2.646, abs=1e-3)
    assert cell.study_times == (50.0, 50.0, 51.0, 50.0, 50.0)
    assert (cell.reached, cell.trials) == (6, 8)
    assert board.notes == ()


def test_raw_times_are_compared_across_frameworks_when_asked(race: Run) -> None:
    board = compute([race.folder], across_frameworks=True)
    assert row(board, TORCH).score == pytest.approx(2 / 3)
    assert row(board, "fast").score == pytest.approx(1.0)
    assert row(board, "fast").rank_low == row(board, "twin_jax").rank_low == 1
    assert row(board, "fast").rank_high == 2


def test_another_entry_changes_no_one_s_score(race: Run) -> None:
    before = compute([race.folder])
    race.add(LM, "newcomer", [1, 1, 1, 1, 1]).add(SHIFT, "newcomer", [2, 2, 2, 2, 2])
    after = compute([race.folder])
    assert row(after, "newcomer").rank_high == 1
    for one in before.rows:
        same = row(after, one.submission)
        assert (one.score, one.interval, one.cells) == (same.score, same.interval, same.cells)


@pytest.mark.parametrize(("clock", "unit"), [("wall", 1), ("cpu", 0.5), ("steps", 10)])
def test_times_are_readings_of_the_chosen_clock(race: Run, clock: str, unit: float) -> None:
    board = compute([race.folder], clock=clock)  # type: ignore[arg-type]
    assert board.clock == clock
    assert row(board, "fast").cells[LM].time == 10 * unit
    assert row(board, "fast").score == pytest.approx((4 - 0.5) / 3)


def test_the_run_s_own_clock_is_the_default(new_run: NewRun) -> None:
    one, other = new_run("a", "steps"), new_run("b", "cpu")
    for name, run in (("x", one), ("y", other)):
        run.add(LM, TORCH, [20, 21]).add(LM, name, [20, 21])
    assert compute([one.folder]).clock == "steps"
    with pytest.raises(RecordError, match=r"different clocks \(cpu, steps\).*--clock"):
        compute([one.folder, other.folder])
    assert len(compute([one.folder, other.folder], clock="steps").rows) == 3


def test_a_clock_that_trials_were_not_timed_on_has_no_board(race: Run) -> None:
    said = r"timed on the paired clock; .* --clock \(wall, cpu, steps\)"
    for protocol in ("gradathlon", "algoperf"):
        with pytest.raises(RecordError, match=said):
            compute([race.folder], clock="paired", protocol=protocol)


def test_a_missing_workload_counts_as_missed_and_is_noted(race: Run) -> None:
    race.add(LM, "half", [20, 21, 22, 19, 18])
    board = compute([race.folder])
    half = row(board, "half")
    assert half.score == pytest.approx(0.5)
    assert half.cells[SHIFT].trials == 0
    assert half.cells[SHIFT].ratio == math.inf
    assert board.notes == (f"half has no trial on {SHIFT}: counted as missed",)


def test_a_missing_reference_is_an_error_that_says_how_to_get_it(new_run: NewRun) -> None:
    run = new_run().add(LM, TORCH, [20, 21]).add(LM, "new_jax", [10, 11])
    with pytest.raises(RecordError, match=f"{LM}: no usable trial of {JAX}.*gradathlon run"):
        compute([run.folder])
    assert row(compute([run.folder], across_frameworks=True), "new_jax").rank_low == 1
    assert row(compute([run.folder], protocol="algoperf"), "new_jax").rank_high == 1


def test_a_reference_that_missed_counts_with_when_it_was_stopped(new_run: NewRun) -> None:
    run = new_run().add(LM, TORCH, [math.inf, math.inf, 100]).add(LM, "adamw", [100, 100, 100])
    board = compute([run.folder])
    # The built budget is 400 s: the reference's true median is longer.
    assert row(board, "adamw").cells[LM].ratio == 0.25
    assert row(board, TORCH).score == 0.0
    assert any("missed the target" in note and "2 of 3 studies" in note for note in board.notes)


def test_a_reference_s_failed_trials_are_left_out(new_run: NewRun) -> None:
    run = new_run().add(LM, TORCH, [100]).add(LM, "adamw", [100])
    for study in (1, 2):
        path = record_path(run.folder, TrialKey(LM, TORCH, study, 0))
        write(path, lines(header(LM, TORCH, study=study), math.inf, "failed"))
    assert row(compute([run.folder]), "adamw").score == 1.0


def test_a_single_study_has_no_interval(new_run: NewRun) -> None:
    run = new_run().add(LM, TORCH, [20]).add(LM, "a", [20]).add(LM, "b", [20]).add(LM, "c", [21])
    board = compute([run.folder])
    assert {(one.rank_low, one.rank_high) for one in board.rows if one.rank_low} == {(1, 3)}
    assert {one.p_best for one in board.rows} == {None}
    assert {one.interval for one in board.rows} == {None}
    assert board.notes == ("a score from a single study has no interval and no rank",)


def test_few_studies_are_told(new_run: NewRun) -> None:
    run = new_run().add(LM, TORCH, [20, 21, 22]).add(LM, "a", [20, 21, 22])
    board = compute([run.folder])
    assert board.notes == ("intervals from 3 studies are too narrow: run 5 or more",)
    assert {row.p_best for row in board.rows} == {None}, "of one entry nothing is to be told"
    run.add(LM, "b", [20, 21, 22])
    assert "too narrow and P(best) is not shown: run 5" in compute([run.folder]).notes[-1]


def test_too_few_studies_tell_no_chance_of_being_best(new_run: NewRun) -> None:
    few, enough = new_run("few"), new_run("enough")
    for run, studies in ((few, 3), (enough, 5)):
        for name, time in ((TORCH, 20.0), ("fast", 10.0), ("slow", 30.0)):
            run.add(LM, name, [time + 0.1 * study for study in range(studies)])
    assert {row.p_best for row in compute([few.folder]).rows} == {None}
    told = {row.submission: row.p_best for row in compute([enough.folder]).rows}
    assert told == {"fast": 1.0, "slow": 0.0, TORCH: None}
    assert "P(best)" not in terminal(compute([few.folder])).split("—")[0]
    assert "P(best)" in terminal(compute([enough.folder])).split("—")[0]


def test_failed_unfinished_torn_and_unsteady_trials_are_noted(new_run: NewRun) -> None:
    run = new_run().add(LM, TORCH, [20]).add(LM, "adamw", [20])

    def trial(number: int) -> Path:
        return record_path(run.folder, TrialKey(LM, "adamw", 0, number))

    failed = lines(header(trial=1), math.inf, "failed", reason="ValueError: no")
    write(trial(1), failed)
    torn = write(trial(2), lines(header(trial=2), math.inf))
    torn.write_bytes(torn.read_bytes()[:-3])
    write(trial(3), lines(header(trial=3), 30.0, step_s_unsteady=True))
    board = compute([run.folder])
    notes = "\n".join(board.notes)
    assert "1 of 4 trials of adamw failed: ValueError: no" in notes
    assert "1 of 4 trials of adamw are unfinished" in notes
    assert f"truncated the last line of {trial(2)}" in notes
    assert "1 of 5 trials had unsteady step times" in notes
    assert "unsteady" not in "\n".join(compute([run.folder], clock="steps").notes)
    assert row(board, "adamw").cells[LM].reached == 2


def test_hardware_is_not_mixed_on_a_clock_of_seconds(new_run: NewRun) -> None:
    run = new_run().add(LM, TORCH, [20, 21])
    run.add(
        LM,
        "adamw",
        [20, 21],
        hardware=HARDWARE | {"cpu": "Other CPU", "digest": "bbbb", "pinned": [3]},
    )
    for clock in ("wall", "cpu"):
        with pytest.raises(RecordError, match=r"cpu: .* CPU / .* CPU.*--mix-hardware") as raised:
            compute([run.folder], clock=clock)  # type: ignore[arg-type]
        assert "\n" not in str(raised.value)
        assert "cores" not in str(raised.value)
        assert "pinned" not in str(raised.value), "which cores were in use makes no other hardware"
    assert row(compute([run.folder], clock="steps"), "adamw").score == 1.0
    mixed = compute([run.folder], mix_hardware=True)
    assert any("measured on 2 kinds of hardware" in note for note in mixed.notes)


def test_the_same_trial_in_two_runs_counts_once_and_two_versions_are_refused(
    new_run: NewRun,
) -> None:
    one = new_run("a").add(LM, TORCH, [20, 21]).add(LM, "adamw", [20, 22])
    same = new_run("b").add(LM, "adamw", [20])
    other = new_run("c").add(LM, "adamw", [19])
    assert compute([one.folder, same.folder, one.folder]) == compute([one.folder])
    with pytest.raises(RecordError, match=r"c/trials/.*conflicts with .*trial in .*a/trials/"):
        compute([one.folder, other.folder])


def test_each_run_is_compared_to_its_own_reference_in_any_order(new_run: NewRun) -> None:
    """A machine twice as slow makes nobody slower, and `--mix-hardware` is not needed."""
    one = new_run("a").add(LM, TORCH, [20, 20]).add(LM, "adamw", [20, 22])
    other: dict[str, Any] = {
        "hardware": {"cpu": "Slow CPU", "cores": 1, "digest": "bbbb"},
        "versions": {"torch": "2.14"},
    }
    two = new_run("b").add(LM, TORCH, [40, 40, 40], **other).add(LM, "sgd", [40, 44], **other)
    board = compute([one.folder, two.folder])
    assert row(board, "adamw").cells[LM].ratio == row(board, "sgd").cells[LM].ratio == 1.05
    assert row(board, TORCH).score == 1.0
    assert row(board, TORCH).cells[LM].trials == 5
    assert compute([two.folder, one.folder]) == board
    notes = "\n".join(board.notes)
    assert "2 runs, each scored against its own references: a (Test CPU), b (Slow CPU)" in notes
    assert f"{TORCH} on {LM} took 20 in a, 40 in b" in notes
    assert "software versions differ between runs: torch 2.13 / 2.14" in notes


def test_a_run_without_references_borrows_those_of_equal_hardware(new_run: NewRun) -> None:
    one = new_run("b").add(LM, TORCH, [20, 20]).add(LM, "adamw", [20, 20])
    same = new_run("a").add(LM, "sgd", [40, 40])
    assert row(compute([one.folder, same.folder]), "sgd").cells[LM].ratio == 2.0
    other = new_run("c").add(LM, "lion", [40, 40], hardware=HARDWARE | {"digest": "bbbb"})
    with pytest.raises(RecordError, match="no usable trial of reference-torch"):
        compute([one.folder, other.folder])
    mixed = compute([one.folder, other.folder], mix_hardware=True)
    assert row(mixed, "lion").cells[LM].ratio == 2.0


def test_studies_of_one_entry_on_two_machines_are_compared_each_to_its_own(new_run: NewRun) -> None:
    one = new_run("a").add(LM, TORCH, [20, 20]).add(LM, "adamw", [30, 30])
    two = new_run("b").add(LM, TORCH, [40, 40])
    for study, time in ((2, 60.0), (3, 64.0)):
        path = record_path(two.folder, TrialKey(LM, "adamw", study, 0))
        write(path, lines(header(LM, study=study), time))
    board = compute([two.folder, one.folder])
    assert row(board, "adamw").cells[LM].ratio == 1.5
    assert row(board, "adamw").interval is not None


def test_what_was_carried_from_trial_to_trial_is_told(new_run: NewRun) -> None:
    run = new_run().add(LM, TORCH, [20, 21])
    audits = {
        "keeps": (["wrote: /tmp/w"], ["wrote: /tmp/w"]),
        "reads": (["wrote: /tmp/w", "opened: /tmp/w", "opened: /etc"], ["started: ls"]),
        "takes": (["wrote: /tmp/w"], ["opened: /tmp/w", "inspected: gc"]),
        "shares": (["carried: /dev/shm/w"], []),
    }
    for name, noted in audits.items():
        for study, audit in enumerate(noted):
            path = record_path(run.folder, TrialKey(LM, name, study, 0))
            write(path, lines(header(LM, name, study=study), 20.0, audit=audit))
    told = [note for note in compute([run.folder]).notes if "must not share state" in note]
    assert [note.split()[0] for note in told] == ["shares", "takes"]
    assert f"/dev/shm/w (read in {run.folder}/trials/{LM}/shares/study0-trial0.jsonl)" in told[0]
    assert f"/tmp/w (read in {run.folder}/trials/{LM}/takes/study1-trial0.jsonl)" in told[1]


def test_different_data_are_refused_and_none_opened_is_no_difference(new_run: NewRun) -> None:
    one = new_run("a").add(LM, TORCH, [20, 21], data_sha256="a" * 64)
    failed = new_run("b").add(LM, TORCH, [20, 21]).add(LM, "theirs", [20, 21])
    compute([one.folder, failed.folder])
    other = new_run("c").add(LM, "others", [20, 21], data_sha256="b" * 64)
    with pytest.raises(RecordError, match=f"{LM}: its trials differ in data"):
        compute([one.folder, other.folder])


def test_different_sources_and_targets_are_refused(new_run: NewRun) -> None:
    run = new_run().add(LM, TORCH, [20, 21]).add(LM, "mine", [20, 21])
    edited = new_run("edited").add(SHIFT, "mine", [20], source_sha256="0" * 64)
    with pytest.raises(RecordError, match="mine: its trials differ in source"):
        compute([run.folder, edited.folder])
    harder = header().target.__class__("validation/loss", "min", 1.25)  # type: ignore[union-attr]
    moved = new_run("moved").add(LM, "theirs", [20], target=harder)
    with pytest.raises(RecordError, match=f"{LM}: its trials differ in target"):
        compute([run.folder, moved.folder])


def test_runs_that_cannot_be_scored_say_why(new_run: NewRun, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="not a run"):
        compute([tmp_path / "nowhere"])
    with pytest.raises(RecordError, match="no trial"):
        compute([new_run("empty").folder])
    aimless = new_run("aimless").add(LM, "adamw", [20], target=None)
    with pytest.raises(RecordError, match="so it had none"):
        compute([aimless.folder])
    with pytest.raises(RecordError, match="gradathlon or algoperf"):
        compute([aimless.folder], protocol="olympic")
    with pytest.raises(RecordError, match="--protocol algoperf"):
        compute([aimless.folder], held_out=True)


def test_the_algoperf_protocol_divides_by_the_best_entry(race: Run) -> None:
    board = compute([race.folder], protocol="algoperf")
    assert row(board, "fast").cells[LM].ratio == 1.0
    assert row(board, TORCH).cells[LM].ratio == 2.0
    # 51 s / 10 s is beyond 4.
    assert row(board, "slow").cells[LM].ratio == math.inf
    assert row(board, "slow").cells[LM].time == 50.0
    assert row(board, "slow").score == 0.0
    assert {one.interval for one in board.rows} == {None}


def test_a_held_out_variant_decides_whether_its_base_counts(race: Run) -> None:
    for name in (TORCH, "fast", "slow"):
        race.add(f"{LM}+postnorm", name, [20, 20, 20, 20, 20])
    board = compute([race.folder], protocol="algoperf", held_out=True)
    assert board.workloads == (SHIFT, LM)
    assert row(board, "fast").cells[LM].ratio == 1.0
    assert row(board, "twin_jax").cells[LM].ratio == math.inf
    assert row(board, "twin_jax").cells[LM].reached == 5
    without = compute([race.folder], protocol="algoperf")
    assert f"{LM}+postnorm" in without.workloads
    race.add(f"{LM}+qknorm", "fast", [20])
    with pytest.raises(RecordError, match="two held-out variants"):
        compute([race.folder], protocol="algoperf", held_out=True)


def test_the_profile_is_a_step_function(race: Run) -> None:
    board = compute([race.folder])
    assert board.profile(row(board, "fast")) == [(1.0, 1.0), (4.0, 1.0)]
    slow = board.profile(row(board, "slow"))
    ratio = row(board, "slow").cells[LM].ratio
    assert slow == [(1.0, 0.0), (ratio, 0.0), (ratio, 1.0), (4.0, 1.0)]


def test_one_row_a_trial(new_run: NewRun) -> None:
    run = new_run().add(LM, "adamw", [[20, math.inf]])
    path = record_path(run.folder, TrialKey(LM, "adamw", 1, 0))
    head, first, second, outcome = lines(header(study=1, hyperparameters={"lr": 1, "b": 0.9}), 30)
    write(path, [head, first, EventLine(200, 20.0, "shift", {}), second, outcome])
    trials = load([run.folder])
    assert trials["wall"].tolist() == [20.0, math.inf, 30.0]
    assert trials["steps"].tolist() == [200.0, math.inf, 300.0]
    assert trials["evaluation"].tolist() == [1, -1, 1]
    assert trials["end"].tolist() == ["reached", "budget", "reached"]
    assert trials["best"].tolist() == [1.0, 1.5, 1.0]
    assert trials["hyperparameters"].iloc[2] == '{"b": 0.9, "lr": 1}'
    assert trials["path"].iloc[2] == str(path)


def test_long_lists_in_notes_are_cut(new_run: NewRun) -> None:
    run = new_run().add(LM, TORCH, [20]).add(LM, "adamw", [20])
    for number in range(1, 7):
        broken = lines(header(trial=number), math.inf, "failed", reason=f"reason\n{number}")
        write(record_path(run.folder, TrialKey(LM, "adamw", 0, number)), broken)
    (note,) = (note for note in compute([run.folder]).notes if "failed" in note)
    assert note == "6 of 7 trials of adamw failed: reason 1; reason 2; reason 3; ..."


def test_what_takes_longer_steps_than_the_reference_is_told_where_steps_count(
    new_run: NewRun,
) -> None:
    run = new_run().add(LM, TORCH, [20]).add(LM, "adamw", [20])
    add_costly(run, "sam", 4)
    (note,) = (n for n in compute([run.folder], clock="steps").notes if "a step of" in n)
    assert note.startswith(
        "a step of sam took more CPU time than the reference's, by a factor of 4 on lm"
    )
    assert not any("a step of" in n for n in compute([run.folder], clock="cpu").notes)


def test_without_a_reference_raced_the_cheapest_entry_stands_for_it(new_run: NewRun) -> None:
    run = new_run().add(LM, "sgd", [20])
    add_costly(run, "adamw", 1.2)
    add_costly(run, "soap", 12)
    board = compute([run.folder], clock="steps", protocol="algoperf")  # which needs none
    (note,) = (n for n in board.notes if "a step of" in n)
    assert note.startswith("a step of soap took more CPU time than sgd's, by a factor of 12 on lm")


def add_costly(run: Run, name: str, times: float) -> None:
    """A trial whose CPU seconds are so many times the others'."""
    head = header(LM, name)
    costly = [
        dataclasses.replace(line, cpu_s=times * line.cpu_s)
        if isinstance(line, Evaluation | Outcome)
        else line
        for line in lines(head, 20.0)
    ]
    write(record_path(run.folder, head.key), costly)


def test_a_target_that_no_entry_met_is_told(new_run: NewRun) -> None:
    run = new_run().add(LM, TORCH, [20]).add(LM, "adamw", [math.inf])
    run.add(SHIFT, TORCH, [20]).add(SHIFT, "adamw", [20])
    (note,) = (n for n in compute([run.folder]).notes if "no submission met" in n)
    assert note.startswith(f"no submission met the target of {LM}: it does not")


def test_what_a_second_witness_saw_is_told(new_run: NewRun) -> None:
    run = new_run().add(LM, TORCH, [20]).add(LM, "adamw", [20])
    again = record_path(run.folder, TrialKey(LM, "adamw", 0, 0), 2)
    saw = {"witness_wall_s": 41.5, "off_clock_share": 0.75, "doubt": "41.5 s passed"}
    write(again, lines(header(), 20.0, **saw))
    notes = "\n".join(compute([run.folder]).notes)
    assert f"a second process contradicts the clock of adamw: {again}: 41.5 s passed" in notes
    assert f"1 of 2 trials were restarted, with up to 3 attempts: {again}" in notes
    spent = "1 of the trials of adamw spent more than 60 % of their seconds off the clock"
    assert f"{spent}: {again} (75 %)" in notes
    trials = load([run.folder])
    assert trials["witness_wall_s"].tolist()[0] == 41.5
    assert math.isnan(trials["witness_wall_s"].iloc[1])
