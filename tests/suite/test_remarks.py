"""What `check` would find of a submission is told beside the board of its race."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scoring.records import EventLine, read_run
from submissions.source import find
from suite.remarks import SHOWN, remarks
from tests.suite.conftest import FakeCluster

Invoke = Callable[..., Any]
PRYING = "import gc\ndef submission(params, lr=0.1): ...\n"


def run(fake: FakeCluster, invoke: Invoke, **extra: Any) -> list[str]:
    Path("pries.py").write_text(PRYING)
    fake.extra = extra
    words = ("run", "demo", "-w", "lm-toy-v2", "-o", "out", "-s", "pries.py", "-s", "adamw")
    result = invoke(*words)
    assert result.exit_code == 0
    return [line for line in result.stderr.splitlines() if line.startswith(("pries", "adamw"))]


def test_what_lies_in_the_text_is_told_of_its_submission_alone(
    fake: FakeCluster, invoke: Invoke
) -> None:
    assert run(fake, invoke) == ["pries needs review: line 1 imports gc"]


def test_what_trials_tell_is_one_line_a_kind(fake: FakeCluster, invoke: Invoke) -> None:
    noted = [f"opened: /{n}" for n in range(SHOWN + 1)]
    told = run(fake, invoke, audit=noted, leftover_threads=1, compilations=2)
    mine = [line for line in told if line.startswith("adamw")]
    assert mine == [
        f"adamw needs review: {'; '.join(noted[:SHOWN])}; ...",
        "adamw left after its trials: threads",
        "adamw: in 1 of 1 trials something was compiled on the clock; recompilation "
        "during a race counts as its time",
    ]


def test_a_state_that_cannot_be_kept_is_told_once(fake: FakeCluster, invoke: Invoke) -> None:
    run(fake, invoke)
    warning = EventLine(0, 0.0, "warning", {"text": "no checkpoint: state/f is a function"})
    records = [dataclasses.replace(one, events=(warning,)) for one in read_run(Path("out"))]
    (line,) = remarks(records, {"adamw": find("adamw")})
    assert line.startswith("adamw: in 1 of 1 trials no checkpoint could be written")
    assert line.endswith(": state/f is a function")
