"""What a board hangs on."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.board import compute
from scoring.ground.words import TrialKey
from scoring.records import Evaluation, Outcome, RecordError, read_run, record_path
from scoring.robustness import laxer_ratios, leave_one_out, speed_up, told
from tests.scoring.conftest import HARDWARE, Run, header, write

LM, SHIFT, RL = "lm-toy-v2", "homeostatic-toy-v3", "rl_nap-toy-v3"


def curve(
    folder: Path, submission: str, values: list[float], study: int = 0, trial: int = 0
) -> None:
    """An evaluation every 10 s with these losses; the last meets the target of 1, if it is 1."""
    head = header(LM, submission, study=study, trial=trial)
    seen = [Evaluation(100 * n, 10.0 * n, 10.0 * n, {"validation/loss": value})
            for n, value in enumerate(values, start=1)]  # fmt: skip
    end = Outcome(
        "reached" if values[-1] == 1 else "failed",
        seen[-1].steps,
        seen[-1].wall_s,
        seen[-1].cpu_s,
        "met",
    )
    write(record_path(folder, TrialKey(LM, submission, study, trial)), [head, *seen, end])


def test_halves_and_doubles_cancel_in_the_geometric_mean(new_run: Callable[..., Run]) -> None:
    run = new_run()
    for workload, time in ((LM, 10), (SHIFT, 40), (RL, math.inf)):
        run.add(workload, "reference-torch", [20, 20]).add(workload, "adamw", [time, time])
    row = next(r for r in compute([run.folder]).rows if r.submission == "adamw")
    speed = speed_up(row)
    assert (speed.mean, speed.met, speed.of) == (pytest.approx(1.0), 2, 3)


def test_a_winner_by_one_workload_falls_without_it(new_run: Callable[..., Run]) -> None:
    run = new_run()
    for workload, one, two in ((LM, 2, 30), (SHIFT, 24, 20), (RL, 24, 20)):
        run.add(workload, "reference-torch", [20, 20])
        run.add(workload, "one", [one, one]).add(workload, "two", [two, two])
    board = compute([run.folder])
    assert board.rows[0].submission == "one"
    orders = {dropped.workload: dropped.order for dropped in leave_one_out(board)}
    assert orders == {LM: ("two", "one"), SHIFT: ("one", "two"), RL: ("one", "two")}
    lines = list(told(board, read_run(run.folder)))
    assert f"without {LM}: two > one" in lines
    assert f"without {SHIFT}: same order" in lines
    with pytest.raises(RecordError, match="leave out --protocol"):
        list(told(compute([run.folder], protocol="algoperf"), []))


def test_orders_flip_at_laxer_targets(new_run: Callable[..., Run]) -> None:
    run = new_run()
    for study in (0, 1):
        curve(run.folder, "reference-torch", [5, 4, 3, 2, 1], study)
        curve(run.folder, "early", [4, 3.5, 3, 2.5, 2, 1.5, 1], study)
        curve(run.folder, "late", [5, 5, 5, 1], study)
    records = read_run(run.folder)
    # After 40 % of 50 s the reference stood at 4, after 65 % at 3.
    assert laxer_ratios(records, "wall", 0.4) == {LM: {"early": 0.5, "late": 1.625}}
    assert laxer_ratios(records, "wall", 0.65)[LM]["early"] == 1.0
    assert compute([run.folder]).rows[0].submission == "late"


def test_at_a_laxer_target_too_a_study_s_fastest_trial_counts(new_run: Callable[..., Run]) -> None:
    run = new_run()
    for study in (0, 1):
        curve(run.folder, "reference-torch", [5, 4, 3, 2, 1], study)
        curve(run.folder, "tuned", [4, 3, 2, 1], study)
        for trial in (1, 2):  # points that tuning tried, and did not take
            curve(run.folder, "tuned", [5, 5, 5, 5, 5, 5, 4], study, trial)
    assert laxer_ratios(read_run(run.folder), "wall", 0.4) == {LM: {"tuned": 0.5}}


def test_seconds_of_two_machines_are_not_taken_together(new_run: Callable[..., Run]) -> None:
    runs = [new_run("quick"), new_run("slow")]
    for run, name in zip(runs, "ab", strict=True):
        machine = {"hardware": HARDWARE | {"digest": name}}
        run.add(LM, "reference-torch", [20, 20], **machine).add(LM, name, [20, 20], **machine)
    folders = [run.folder for run in runs]
    records = [one for folder in folders for one in read_run(folder)]
    lines = list(told(compute(folders), records))
    assert lines[-1].startswith("no laxer targets") and lines[-1].endswith(LM)
    assert "at the target met in" in list(told(compute(folders, clock="steps"), records))[-1]


@settings(max_examples=8)
@given(
    times=st.lists(st.tuples(*[st.integers(10, 390)] * 3), min_size=2, max_size=4),
    share=st.floats(0.05, 1.0),
)
def test_what_robustness_tells_agrees_with_the_board(
    times: list[tuple[int, int, int]], share: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder, "run"))
        for place, (reference, one, two) in enumerate(times):
            id = f"lm-size{place}-v1"
            run.add(id, "reference-torch", [reference]).add(id, "same", [reference])
            run.add(id, "one", [one]).add(id, "two", [two])
        board, records = compute([run.folder]), read_run(run.folder)
        dropped = leave_one_out(board)
        for row in (row for row in board.rows if not row.is_reference):
            without = [one.scores[row.submission] for one in dropped]
            assert sum(without) / len(without) == pytest.approx(row.score)
            slowest = max(cell.ratio for cell in row.cells.values())
            fastest = min(cell.ratio for cell in row.cells.values())
            assert 1 / slowest <= speed_up(row).mean * (1 + 1e-12)
            assert speed_up(row).mean <= (1 + 1e-12) / fastest
        for ratios in laxer_ratios(records, "wall", share).values():
            assert ratios["same"] == 1.0
