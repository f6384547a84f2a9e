"""`gradathlon try`, for real: one short trial in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from scoring.records import Evaluation, read_run
from suite.commands.try_ import measured
from tests.conftest import Gradathlon


def test_a_narrow_terminal_shows_what_is_judged() -> None:
    metrics = {f"task{number:02}/accuracy": 0.5 for number in range(10)}
    metrics |= {"train/loss": 1.5, "diagnostics/weight_norm": 3.0, "validation/kept_mean3": 0.25}
    lines = [Evaluation(20, 0.4, 0.4, {"task00/accuracy": 0.5}), Evaluation(40, 0.8, 0.8, metrics)]
    table, hidden = measured(lines, "validation/kept_mean3", 80)
    head = ["steps", "clock", "validation/kept_mean3", "train/loss", "task00/accuracy"]
    assert table.splitlines()[0].split() == head
    assert max(map(len, table.splitlines())) <= 80
    assert hidden == 9
    assert measured(lines, "validation/kept_mean3", 10)[0].split()[2] == "validation/kept_mean3"
    whole, hidden = measured(lines, "validation/kept_mean3", None)
    assert (len(whole.splitlines()[0].split()), hidden) == (14, 0)


@pytest.mark.network
def test_a_short_trial_is_shown_and_kept(tmp_path: Path, gradathlon: Gradathlon) -> None:
    words = (
        "homeostatic-toy-v3",
        "adamw_jax",
        "--steps",
        "450",
        "-p",
        "lr=3e-3",
        "-p",
        "decay=constant",
    )
    done = gradathlon("try", *words, "-o", "kept")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].split()[:2] == ["steps", "clock"]
    assert [line.split()[0] for line in lines[1:4]] == ["200", "400", "450"]
    assert lines[-1].startswith("a step: ")
    (record,) = read_run(tmp_path / "kept")
    assert record.header.target is None
    assert record.header.hyperparameters["lr"] == 0.003
    assert record.header.hyperparameters["decay"] == "constant"
    assert gradathlon("try", *words, "-o", "kept").code == 2, "a kept record is not overwritten"


@pytest.mark.network
@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ("lr", "expected NAME=VALUE, as in -p lr=0.01"),
        ("rl=1", "adamw has no hyperparameter 'rl'; did you mean 'lr'?"),
    ],
)
def test_a_wrong_point_is_one_line(gradathlon: Gradathlon, point: str, expected: str) -> None:
    done = gradathlon("try", "homeostatic-toy-v3", "adamw", "-p", point)
    assert done.code == 2
    assert expected in done.err


@pytest.mark.network
def test_a_failing_submission_makes_exit_code_1(tmp_path: Path, gradathlon: Gradathlon) -> None:
    (tmp_path / "bad.py").write_text("def submission(params):\n    raise ValueError('no')\n")
    done = gradathlon("try", "homeostatic-toy-v3", "bad.py")
    assert done.code == 1
    assert "failed: " in done.err
    assert "ValueError: no" in done.err
    assert "Traceback" not in done.err
