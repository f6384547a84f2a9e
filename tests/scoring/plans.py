"""Plans of made-up runs, written as `run.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from scoring.ground.limit import Limit
from scoring.ground.words import Budget, Clock, Framework, Target
from scoring.run_file import (
    NAME,
    Course,
    Entrant,
    ReferenceEntrant,
    RunFile,
    Suite,
    TargetText,
)


def write_plan(
    folder: Path,
    courses: Mapping[str, tuple[Target, Budget]],
    trials: Mapping[str, int],
    studies: int,
    *,
    frameworks: tuple[Framework, ...] = ("torch", "jax"),
    clock: Clock = "wall",
    date: str = "2026-11-20T08:30:00+00:00",
) -> RunFile:
    """A plan of workloads by id, submissions with their trials a study, and references."""
    fixed = ReferenceEntrant(file="reference.py", hyperparameters={})
    suite = Suite(
        title="made up",
        workloads=list(courses),
        submissions=list(trials) or ["adamw"],
        ruleset="external",
        studies=studies,
        trials=max(trials.values(), default=1),
        clock=clock,
    )
    plan = RunFile(
        name="made-up",
        suite=suite,
        workloads={
            id: Course(
                target=TargetText(metric=target.metric, goal=target.goal, value=target.value),
                budget=Limit(steps=budget.steps, seconds=budget.seconds),
                references=dict.fromkeys(frameworks, fixed),
            )
            for id, (target, budget) in courses.items()
        },
        submissions={
            name: Entrant(file=f"{name}.py", points=[[{}] * count] * studies)
            for name, count in trials.items()
        },
        texts={},
        date=date,
        versions={},
        hardware={},
    )
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False)
    (folder / NAME).write_text(text)
    return plan
