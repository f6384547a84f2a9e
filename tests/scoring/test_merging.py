"""Runs of several machines taken together: nobody's score hangs on how they were gathered."""

from __future__ import annotations

import math
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.board import Board, compute
from scoring.export import export
from scoring.frame import gather
from scoring.ground.words import Budget
from scoring.provenance import provenance
from scoring.records import record_files
from scoring.report import tables
from scoring.report.page import render
from scoring.report.palette import styles
from scoring.report.pictures import board_svg
from scoring.report.plots import study_plot
from tests.scoring.conftest import TARGET, Run
from tests.scoring.plans import write_plan

LM, SHIFT, TORCH = "lm-toy-v2", "homeostatic-toy-v3", "reference-torch"
COURSES = {LM: (TARGET, Budget(4000, 400.0)), SHIFT: (TARGET, Budget(4000, 400.0))}
Race = Mapping[str, Mapping[str, Sequence[float]]]
"""By submission and workload, a time a study."""
TIME = st.integers(8, 380).map(float)
few = settings(max_examples=5)


@st.composite
def races(draw: st.DrawFn, studies: int = 2) -> Race:
    """Two studies of the reference and of some submissions on two workloads; these may miss."""
    reference = st.lists(TIME, min_size=studies, max_size=studies)
    own = st.lists(TIME | st.just(math.inf), min_size=studies, max_size=studies)
    names = draw(st.sets(st.sampled_from(["a", "b", "c"]), min_size=1))
    rows = [(TORCH, reference), *((name, own) for name in sorted(names))]
    return {name: {id: draw(times) for id in COURSES} for name, times in rows}


def write_race(folder: Path, race: Race, day: int, scale: float = 1.0) -> Path:
    """As raced on a machine that takes `scale` times as long."""
    run = Run(folder)
    for name, own in race.items():
        for id, times in own.items():
            machine = {"cpu": f"CPU {day}", "cores": 1, "digest": f"{day}"}
            run.add(id, name, [scale * time for time in times], hardware=machine)
    trials = {name: 1 for name in race if name != TORCH}
    date = f"2026-11-{day:02}T08:30:00+00:00"
    write_plan(folder, COURSES, trials, 2, frameworks=("torch",), date=date)
    return folder


@contextmanager
def raced(*given: Race, scale: float = 1.0) -> Iterator[list[Path]]:
    """The runs' folders; the first machine takes `scale` times as long as the others."""
    with tempfile.TemporaryDirectory() as folder:
        yield [
            write_race(Path(folder, f"run{place}"), race, 1 + place, 1.0 if place else scale)
            for place, race in enumerate(given)
        ]


def ratios(board: Board) -> dict[tuple[str, str], float]:
    return {
        (row.submission, id): cell.ratio for row in board.rows for id, cell in row.cells.items()
    }


@few
@given(one=races(), two=races(), three=races())
def test_the_order_of_runs_means_nothing(one: Race, two: Race, three: Race) -> None:
    with raced(one, two, three) as runs:
        assert compute(runs) == compute(runs[::-1]) == compute([*runs[1:], *runs])


@few
@given(one=races(), two=races())
def test_a_machine_twice_as_fast_moves_no_ratio(one: Race, two: Race) -> None:
    with raced(one, two) as runs, raced(one, two, scale=0.5) as faster:
        was, now = ratios(compute(runs)), ratios(compute(faster))
        own = [key for key in was if key[0] != TORCH]
        assert [now[key] for key in own] == [was[key] for key in own]


@few
@given(one=races(), two=races())
def test_what_two_machines_raced_counts_from_both_and_a_copy_once(one: Race, two: Race) -> None:
    with raced(one, two) as runs:
        board = compute(runs)
        for row in board.rows:
            brought = [race[row.submission] for race in (one, two) if row.submission in race]
            for id, cell in row.cells.items():
                assert cell.trials == sum(len(own[id]) for own in brought)
        shared = (one.keys() & two.keys()) - {TORCH}
        told = {note.split()[0] for note in board.notes if "all its studies count" in note}
        assert told == shared
        copy = shutil.copytree(runs[0], runs[0].with_name("copy"))
        again = compute([*runs, copy])
        own = [row for row in board.rows if not row.is_reference]
        assert {row.submission: row.score for row in again.rows if not row.is_reference} == {
            row.submission: row.score for row in own
        }


@few
@given(race=races(), data=st.data())
def test_what_was_planned_and_is_not_there_is_told_and_missed(
    race: Race, data: st.DataObject
) -> None:
    with raced(race, race) as runs:
        records = [path for path in record_files(runs[1]) if TORCH not in path.parts]
        gone = data.draw(st.sets(st.sampled_from(records), min_size=1))
        for path in gone:
            path.unlink()
        board = compute(runs)
        for name in race.keys() - {TORCH}:
            lacking = sum(path.parent.name == name for path in gone)
            note = f"{lacking} of 8 planned trials of {name} are missing: counted as missed"
            assert (note in board.notes) == (lacking > 0)
            row = next(row for row in board.rows if row.submission == name)
            assert sum(cell.trials for cell in row.cells.values()) == 8


@few
@given(one=races(), two=races(), data=st.data())
def test_a_board_s_digest_hangs_on_its_records_alone(
    one: Race, two: Race, data: st.DataObject
) -> None:
    with raced(one, two) as runs:
        digest = provenance(gather(runs), {}).records_sha256
        assert provenance(gather(runs[::-1]), {}).records_sha256 == digest
        path = data.draw(st.sampled_from(list(record_files(runs[0]))))
        path.write_text(path.read_text().replace('"because"', '"otherwise"'))
        assert provenance(gather(runs), {}).records_sha256 != digest


@few
@given(one=races(), two=races(), form=st.sampled_from([".csv", ".parquet"]))
def test_exported_evaluations_are_the_records_own(one: Race, two: Race, form: str) -> None:
    if form == ".parquet":
        pytest.importorskip("pyarrow")
    with raced(one, two) as runs:
        output = runs[0].with_name(f"table{form}")
        count = export(runs, "evaluations", output)
        table = pd.read_csv(output) if form == ".csv" else pd.read_parquet(output)
        found = {
            (*row[:6], row.evaluation, row.metric): (row.steps, row.wall, row.cpu, repr(row.value))
            for row in table.itertuples(index=False)
        }
        gathered = gather(runs)
        expected = {
            (str(record.path.parents[3]), head.workload, head.submission, head.framework,
             head.study, head.trial, at, name): (one.steps, one.wall_s, one.cpu_s, repr(value))
            for record in gathered.records
            for head in [record.header]
            for at, one in enumerate(record.evaluations)
            for name, value in one.metrics.items()
        }  # fmt: skip
        assert found == expected
        assert len(found) == count


def test_seconds_of_two_machines_have_no_median(tmp_path: Path) -> None:
    race = {TORCH: {LM: [20.0, 21.0]}, "a": {LM: [10.0, 10.5]}}
    runs = [tmp_path / "quick", tmp_path / "slow"]
    for day, (folder, scale) in enumerate(zip(runs, (1.0, 4.0), strict=True), start=1):
        write_race(folder, race, day, scale)
    board = compute(runs)
    cell = next(row for row in board.rows if row.submission == "a").cells[LM]
    assert math.isnan(cell.time) and cell.ratio == pytest.approx(0.5)
    assert cell.study_times == (10.0, 10.5, 40.0, 42.0)
    told = "several kinds of machine, whose seconds have no common median: a, reference-torch;"
    assert told in board.notes[-1]
    assert "×0.50 4/4" in tables.terminal(board)
    assert "×0.50 4/4" in tables.markdown(board)
    assert "nan" not in tables.csv(board) + tables.json(board).replace("provenance", "")
    assert "×0.50" in board_svg(board) and "nan" not in board_svg(board)
    # Whoever asks for seconds of different hardware to be mixed, and a clock of none, has them.
    assert not math.isnan(compute(runs, mix_hardware=True).rows[0].cells[LM].time)
    assert not math.isnan(compute(runs, clock="steps").rows[0].cells[LM].time)
    assert not math.isnan(compute(runs[:1]).rows[0].cells[LM].time)


def marks_of(drawn: str, series: int) -> list[str]:
    """Where along the axis the marks of a submission stand."""
    (group,) = re.findall(rf'<g class="c\w" data-s="{series}">.*?</g>', drawn)
    return re.findall(r'class="mark" transform="translate\(([\d.]+),', group)


def test_studies_of_two_machines_are_drawn_by_their_ratios(tmp_path: Path) -> None:
    """Each submission on a machine of its own: one is four times as quick, and both do alike."""
    runs = [tmp_path / "quick", tmp_path / "slow"]
    for day, (folder, name, scale) in enumerate(zip(runs, "ab", (1.0, 4.0), strict=True), start=1):
        never = {f"never_{name}": {LM: [math.inf] * 2}}
        race = {TORCH: {LM: [20.0, 22.0]}, name: {LM: [10.0, 11.0]}, **never}
        write_race(folder, race, day, scale)
    board = compute(runs)
    looks = styles(row.submission for row in board.rows)
    told = "time relative to the machine&#x27;s own reference"
    drawn = study_plot("studies0", board, LM, looks)
    assert told in drawn and "(s)" not in drawn
    marks = {row.submission: marks_of(drawn, looks[row.submission].series) for row in board.rows}
    assert marks["a"] == marks["b"] and len(set(marks["a"])) == 2
    assert (len(marks[TORCH]), marks["never_a"]) == (4, [])
    assert drawn.count('class="whisker"') == 3, "no median of those that never met it"
    page = render(board, gather(runs).records)
    assert "Raced on several kinds of machine" in page
    assert "none if half or more missed" in page
    for one in (compute(runs, mix_hardware=True), compute(runs[:1]), compute(runs, clock="steps")):
        assert told not in study_plot("studies0", one, LM, looks)
