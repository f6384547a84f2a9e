"""A made-up race with every kind of trial that a page must show, written as real records."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

from scoring.ground.words import REFERENCES, Budget, Target
from scoring.records import Evaluation, EventLine, Header, Outcome, Writer, record_path
from scoring.seeds import trial_seed
from tests.scoring.plans import write_plan

LM, DIGITS = "lm-toy-v2", "homeostatic-toy-v3"
TARGETS = {
    LM: Target("validation/bits_per_byte", "min", 2.45),
    DIGITS: Target("validation/prequential_accuracy_mean5", "max", 0.55),
}
# Worst and best value of the metric, seconds a step, steps between evaluations.
SHAPES = {LM: (8.0, 2.2, 0.045, 50), DIGITS: (0.1, 0.68, 0.004, 250)}
SPEEDS = {
    ("reference-torch", "torch"): 1.0,
    ("reference-jax", "jax"): 1.0,
    ("adamw", "torch"): 0.9,
    ("schedule_free_adamw", "torch"): 1.15,
    ("sgd", "torch"): 0.3,
    ("nadamw_jax", "jax"): 1.05,
    ("prodigy", "jax"): 0.75,
    ("homeostat", "jax"): 1.3,
}
HARDWARE = {
    "cpu": "Example CPU @ 2.50GHz",
    "simd": "avx512f",
    "cores": 1,
    "threads": 1,
    "accelerators": [],
    "system": "Linux x86_64",
    "digest": "5f1c09ab7e21",
}
VERSIONS = {"gradathlon": "0.1.0", "torch": "2.13.0", "jax": "0.10.2", "python": "3.11.2"}
ODDITIES = {("sgd", 1, 1): "failed", ("sgd", 2, 1): "diverged"}
"""Submission, study, trial: how it ends whatever its speed."""
TRACEBACK = """Traceback (most recent call last):
  File "my_opt.py", line 12, in update
    raise ValueError("no <b>state</b> for layer 3")
ValueError: no <b>state</b> for layer 3
"""


def race(
    folder: Path,
    *,
    speeds: Mapping[tuple[str, str], float] = SPEEDS,
    studies: int = 3,
    trials: int = 2,
    evaluations: int = 40,
) -> Path:
    """Write a run: each study's first trial is good, later ones worse; sgd fails and diverges."""
    folder.mkdir(parents=True, exist_ok=True)
    write_plan(
        folder,
        {id: (TARGETS[id], _budget(id)) for id in TARGETS},
        {name: trials for name, _ in speeds if name not in REFERENCES},
        studies,
        frameworks=tuple(own for name, own in speeds if name in REFERENCES),
    )
    with mock.patch("os.fsync"):  # thousands of them take many seconds on some disks
        for workload, ((submission, framework), speed) in product(TARGETS, speeds.items()):
            tried = 1 if submission in REFERENCES else trials
            for study, trial in product(range(studies), range(tried)):
                head = _header(workload, submission, framework, study, trial)
                _write(folder, head, speed * 0.7**trial, evaluations)
    return folder


def _budget(workload: str) -> Budget:
    return Budget(steps=40 * SHAPES[workload][3], seconds=240.0)


def _header(workload: str, submission: str, framework: str, study: int, trial: int) -> Header:
    rng = random.Random(f"{submission} {study} {trial}")
    return Header(
        workload=workload,
        submission=submission,
        framework=framework,
        study=study,
        trial=trial,
        seed=trial_seed(0, workload, study, trial),
        hyperparameters={
            "lr": 10 ** rng.uniform(-4, -1),
            "one_minus_beta1": 10 ** rng.uniform(-2, -0.5),
            "weight_decay": 0.1,
        },
        source_sha256="0" * 64,
        target=TARGETS[workload],
        budget=_budget(workload),
        clock="wall",
        hardware=HARDWARE,
        versions=VERSIONS,
    )


def _write(folder: Path, head: Header, speed: float, evaluations: int) -> None:
    rng = random.Random(f"{head.workload} {head.submission} {head.study} {head.trial}")
    speed *= rng.uniform(0.8, 1.25)
    period = SHAPES[head.workload][3]
    step_s = SHAPES[head.workload][2] * rng.uniform(0.97, 1.05)
    step_s *= 0.8 if head.framework == "jax" else 1.0
    oddity = ODDITIES.get((head.submission, head.study, head.trial), "")
    writer = Writer(record_path(folder, head.key))
    writer.write(head)
    end, reason, index = "budget", "the budget of steps was spent", 0
    for index, value in enumerate(_values(head.workload, speed, rng, evaluations, oddity), 1):
        steps, seconds = index * period, index * period * step_s
        assert head.target is not None
        metrics = {head.target.metric: value, "validation/loss": 1.0}
        writer.write(Evaluation(steps, seconds, seconds * 0.99, metrics))
        if head.workload == DIGITS and index % 10 == 0:
            writer.write(EventLine(steps, seconds, "shift", {"classes": [1, 7]}))
        if ended := _ended(head.target, index, value, oddity):
            end, reason = ended
            break
    seconds = index * period * step_s
    extra = _extra(step_s, oddity == "failed")
    writer.write(Outcome(end, index * period, seconds, seconds * 0.99, reason, extra))  # type: ignore[arg-type]
    writer.close()


def _values(
    workload: str, speed: float, rng: random.Random, count: int, oddity: str
) -> Iterator[float]:
    worst, best = SHAPES[workload][:2]
    for index in range(1, count + 1):
        share = -speed * rng.uniform(0.97, 1.03) * index / (6 if workload == LM else 9)
        if oddity == "diverged" and index > 4:
            yield 10.0 ** (3 * index) if index < 9 and workload == LM else math.nan
        else:
            yield best + (worst - best) * math.exp(share)


def _ended(target: Target, index: int, value: float, oddity: str) -> tuple[str, str] | None:
    """The end and its reason, if the evaluation at `index`, from 1, is the trial's last."""
    if oddity == "failed" and index == 6:
        return "failed", "my_opt.py:12: ValueError: no <b>state</b> for layer 3"
    if oddity == "diverged":
        return ("diverged", "the loss is not finite") if index == 10 else None
    met = value <= target.value if target.goal == "min" else value >= target.value
    return ("reached", f"{target.metric} met its target") if met else None


def _extra(step_s: float, fails: bool) -> dict[str, Any]:
    times = {"step_s_median": step_s, "step_s_p10": step_s * 0.97, "step_s_p90": step_s * 1.06}
    return times | ({"traceback": TRACEBACK} if fails else {})
