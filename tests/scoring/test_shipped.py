"""Reference steps that ship with a target: compared to on the data that they were measured on."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest
import yaml

from scoring import frame
from scoring.board import compute
from scoring.records import RecordError
from scoring.run_file import NAME
from scoring.yardsticks import yardsticks
from tests.scoring.conftest import TARGET, Run, header
from tests.scoring.plans import write_plan

LM, SHIFT = "lm-toy-v2", "homeostatic-toy-v1"
HERE, OTHER = "a" * 64, "b" * 64
NewRun = Callable[..., Run]


def planned(run: Run, workloads: dict[str, str], clock: str = "steps") -> Run:
    """Three studies of adamw; the references' steps ship with `workloads`, of these data."""
    budget = header().budget
    courses = dict.fromkeys(workloads, (TARGET, budget))
    plan = write_plan(run.folder, courses, {"adamw": 1}, 3, frameworks=("torch",), clock=clock)
    body = plan.model_dump(mode="json")
    for id, data in workloads.items():
        shipped = {"steps": [100.0, 110.0, 120.0, 130.0, 140.0], "data": data, "raced": False}
        body["workloads"][id]["references"]["torch"] |= shipped
    (run.folder / NAME).write_text(yaml.safe_dump(body))
    for id in workloads:
        run.add(id, "adamw", [24, 25, 26], data_sha256=HERE)  # ten steps a second
    return run


def race_reference(run: Run, id: str) -> None:
    text = (run.folder / NAME).read_text()
    (run.folder / NAME).write_text(text.replace("raced: false", "raced: true"))
    run.add(id, "reference-torch", [50, 50, 50], data_sha256=HERE)


def ratio(run: Run, id: str) -> float:
    (row,) = (row for row in compute([run.folder]).rows if row.submission == "adamw")
    return row.cells[id].ratio


def test_steps_of_the_same_data_are_the_yardstick(new_run: NewRun) -> None:
    run = planned(new_run(clock="steps"), {LM: HERE})
    assert ratio(run, LM) == pytest.approx(250 / 120)
    assert not [note for note in compute([run.folder]).notes if "shipped" in note]


def test_a_workload_with_steps_of_other_data_alone_is_left_out_and_told(new_run: NewRun) -> None:
    run = planned(new_run(clock="steps"), {LM: HERE, SHIFT: OTHER})
    board = compute([run.folder])
    assert board.workloads == (LM,)
    (told,) = (note for note in board.notes if "shipped" in note)
    assert told == (
        f"excluded with all its trials: {SHIFT}: reference-torch's shipped steps were measured "
        f"on other data ({OTHER[:12]}) than run uses ({HERE[:12]}), and no reference was raced; "
        "race again with --race-reference"
    )


def test_where_no_workload_is_left_that_is_the_error(new_run: NewRun) -> None:
    run = planned(new_run(clock="steps"), {LM: OTHER})
    with pytest.raises(RecordError, match=f"^{LM}: .*other data .*--race-reference$"):
        compute([run.folder])
    compute([run.folder], protocol="algoperf")  # compares to no reference


def test_a_reference_that_was_raced_takes_the_place_of_steps_of_other_data(
    new_run: NewRun,
) -> None:
    run = planned(new_run(clock="steps"), {LM: OTHER})
    race_reference(run, LM)
    assert ratio(run, LM) == pytest.approx(250 / 500)


def test_on_the_paired_clock_raced_references_count_where_shipped_steps_are_of_other_data(
    new_run: NewRun,
) -> None:
    """Elsewhere the shipped ones go before them."""
    for data, expected in ((HERE, 120.0), (OTHER, 500.0)):
        run = planned(new_run(data[0], clock="steps"), {LM: data})
        race_reference(run, LM)
        gathered = frame.gather([run.folder])
        trials = gathered.trials.assign(time=gathered.trials["steps"])
        (found,) = yardsticks(trials, "paired", gathered.shipped).found.values()
        assert statistics.median(found.values()) == expected


def test_steps_of_which_nobody_noted_the_data_are_compared_to_and_told(new_run: NewRun) -> None:
    run = planned(new_run(clock="steps"), {LM: ""})
    assert ratio(run, LM) == pytest.approx(250 / 120)
    (told,) = (note for note in compute([run.folder]).notes if "shipped" in note)
    assert told == f"the data behind the shipped reference steps were not recorded: {LM}"
    # In seconds nothing is compared to them.
    raced = planned(new_run("seconds", clock="wall"), {LM: ""}, clock="wall")
    race_reference(raced, LM)
    assert not [note for note in compute([raced.folder]).notes if "shipped" in note]
