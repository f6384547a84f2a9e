"""Builders that write real record files."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from scoring.ground.words import Budget, Clock, Target, TrialKey
from scoring.records import Evaluation, Header, Line, Outcome, Writer, record_path
from scoring.seeds import trial_seed

TARGET = Target("validation/loss", "min", 1.0)
HARDWARE = {"cpu": "Test CPU", "cores": 1, "digest": "aaaa"}
PERIOD = 10.0
"""Seconds and steps between evaluations of the built trials."""


def sha_of(text: str) -> str:
    """A digest that differs where the text does."""
    return hashlib.sha256(text.encode()).hexdigest()


def header(workload: str = "lm-toy-v2", submission: str = "adamw", **changes: Any) -> Header:
    base = Header(
        workload=workload,
        submission=submission,
        framework="jax" if "jax" in submission else "torch",
        study=0,
        trial=0,
        seed=7,
        hyperparameters={"lr": 0.01},
        source_sha256=sha_of(submission),
        target=TARGET,
        budget=Budget(4000, 400.0),
        clock="wall",
        hardware=HARDWARE,
        versions={"torch": "2.13"},
    )
    made = dataclasses.replace(base, **changes)
    planned = trial_seed(0, made.workload, made.study, made.trial)
    return made if "seed" in changes else dataclasses.replace(made, seed=planned)


def lines(head: Header, time: float, end: str | None = None, **extra: Any) -> list[Line]:
    """A trial that is just at its target at `time`, or misses it until its budget is spent."""
    reached = math.isfinite(time)
    last = time if reached else head.budget.seconds
    loss = 1.0 if reached else 1.5
    steps = round(last * 10)
    body: list[Line] = [
        head,
        Evaluation(steps // 2, last / 2, last / 4, {"validation/loss": 2.0, "other": math.nan}),
        Evaluation(steps, last, last / 2, {"validation/loss": loss, "other": 0.0}),
    ]
    ended = end or ("reached" if reached else "budget")
    reason = extra.pop("reason", "because")
    body.append(Outcome(ended, steps, last, last / 2, reason, extra))  # type: ignore[arg-type]
    return body


def write(path: Path, body: Sequence[Line]) -> Path:
    writer = Writer(path)
    for line in body:
        writer.write(line)
    writer.close()
    return path


class Run:
    """A run folder under construction."""

    def __init__(self, folder: Path, clock: Clock = "wall") -> None:
        self.folder = folder
        self.clock = clock
        (folder / "trials").mkdir(parents=True)

    def add(self, workload: str, submission: str, times: Sequence[Any], **changes: Any) -> Run:
        """Studies of one trial each, or of several where `times` holds sequences."""
        for study, entry in enumerate(times):
            trials = entry if isinstance(entry, list | tuple) else [entry]
            for trial, time in enumerate(trials):
                head = header(
                    workload, submission, study=study, trial=trial, clock=self.clock, **changes
                )
                path = record_path(self.folder, TrialKey(workload, submission, study, trial))
                write(path, lines(head, time))
        return self


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[..., Run]:
    def build(name: str = "run", clock: Clock = "wall") -> Run:
        return Run(tmp_path / name, clock)

    return build
