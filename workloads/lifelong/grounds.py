"""Which of a trial's measures rest on enough to be told, and why the others do not."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from workloads.lifelong.measures import (
    TERMINAL_SHARE,
    Evaluating,
    Learning,
    Measures,
    Scenario,
    Values,
    curve,
)

EXPERIENCES = 15
"""The least that a learning curve must have to be compared: below, smoothing never acts."""
IMAGES = 200
"""The least of a task that evaluations must look at for a transfer to be more than noise."""
LEARNT_AT = 0.5
"""A task whose last accuracies are lower was not learnt: nothing of it can be carried over."""
_TRANSFERS = (
    *("forward_transfer_ratio", "forward_transfer_contrast"),
    *("backward_transfer_ratio", "backward_transfer_contrast"),
)
_COMPARED = ("ste_rel_perf", "sample_efficiency")
_KEPT = ("perf_maintenance_mrlep", "perf_maintenance_mrtlp")


def grounded(
    scene: Scenario, measures: Measures, experts: Sequence[Sequence[float]]
) -> tuple[Measures, dict[str, str]]:
    """The measures without what rests on too little, and a reason for each that is left empty."""
    kept: dict[str, Values] = {}
    reasons: dict[str, str] = {}
    for field in dataclasses.fields(measures):
        values: Values = getattr(measures, field.name)
        if field.name in _TRANSFERS:
            values, reason = _transfers(scene, values)
        elif field.name in _COMPARED:
            values, reason = _compared(scene, values, experts)
        else:
            values, reason = _maintenance(scene, values)
        kept[field.name] = values
        if not values:
            reasons[field.name] = reason
    return Measures(**kept), reasons


def _learnt(scene: Scenario) -> set[str]:
    """The tasks with a turn at whose end the learner was mostly right about them."""
    learnt = set()
    for block in scene:
        if isinstance(block, Learning):
            last = block.accuracy[int((1 - TERMINAL_SHARE) * len(block.accuracy)) :]
            if np.mean(last) >= LEARNT_AT:
                learnt.add(block.task)
    return learnt


def _transfers(scene: Scenario, values: Values) -> tuple[Values, str]:
    images = min(block.images for block in scene if isinstance(block, Evaluating))
    if images < IMAGES:
        return {}, f"evaluations use {images} images per task; at least {IMAGES} are needed"
    learnt = _learnt(scene)
    values = {pair: value for pair, value in values.items() if pair.split("->")[0] in learnt}
    return values, f"no task reached accuracy {LEARNT_AT:g} before another began"


def _maintenance(scene: Scenario, values: Values) -> tuple[Values, str]:
    learnt = _learnt(scene)
    values = {task: value for task, value in values.items() if task in learnt}
    return values, f"no task reached accuracy {LEARNT_AT:g} and was evaluated again later"


def _compared(
    scene: Scenario, values: Values, experts: Sequence[Sequence[float]]
) -> tuple[Values, str]:
    if not experts:
        return {}, "no expert to compare with; give --expert"
    if (shortest := min(map(len, experts))) < EXPERIENCES:
        return (
            {},
            f"an expert has {shortest} experiences; at least {EXPERIENCES} are needed",
        )
    values = {
        task: value for task, value in values.items() if len(curve(scene, task)) >= EXPERIENCES
    }
    return values, f"no task's curve has at least {EXPERIENCES} experiences"
