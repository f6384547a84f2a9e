"""Why a trial ends at an evaluation, and how many steps it may take."""

from __future__ import annotations

import math

from cluster.spec import HOLDING_FACTOR, TrialSpec
from cluster.trial import bounds
from cluster.trial.course import Course
from scoring.forecast import is_hopeless
from scoring.ground.clocks import CLOCKS
from scoring.ground.ends import End
from scoring.records import Evaluation
from workloads.contract import Workload

Why = tuple[End, str] | None


def is_holding(spec: TrialSpec, course: Course) -> bool:
    """Whether the target was met and is still to be held, which no budget limits."""
    return spec.target is not None and course.pursuit.is_holding(spec.target)


def most_steps(spec: TrialSpec, course: Course, period: int) -> int:
    """The steps after which the trial ends."""
    target = spec.target
    if target is None or target.held is None or course.met_at is None:
        return spec.budget.steps
    return course.met_at + HOLDING_FACTOR * target.held.evaluations * period


def why_over(spec: TrialSpec, course: Course, workload: Workload, enough: str) -> Why:
    """What the evaluation just judged makes of a target, and of the budget where it was not met.

    `enough` says that the submission ended its training, and why; "" where it goes on.
    """
    target, key = spec.target, workload.metric.key
    if target is not None and target.value is not None and course.met_at is not None:
        met = f"{target.value:g} at step {course.met_at}"
        if course.pursuit.reached(target):
            if target.held is None:
                return "reached", f"{key} {course.judged:.6g} meets {target.value:g}"
            held = f"held it for {target.held.evaluations} evaluations"
            return "reached", f"{key} met {met} and {held}"
        if course.pursuit.lost:
            return "lost", f"{key} met {met} and was {course.judged:.6g} at step {course.steps}"
        if enough:
            return "lost", f"{key} met {met}, which must hold; {enough}"
        if course.steps >= most_steps(spec, course, workload.settings.evaluation_period):
            return "lost", f"{key} met {met}, but was not held by step {course.steps}"
        return None
    if enough:
        return "budget", enough
    if course.steps >= spec.budget.steps:
        aim = target.value if target else None
        missed = "" if aim is None else f"; {key} never met {aim:g}"
        return "budget", f"{spec.steps_spent}{missed}"
    return None


def why_broken(course: Course, workload: Workload, finite: bool) -> Why:
    """Whether the metric or a weight is no number any more."""
    name = workload.metric.name
    if not math.isfinite(course.history[-1]):
        return "diverged", f"{name} is {course.history[-1]} at step {course.steps}"
    return None if finite else ("diverged", f"a weight is not finite at step {course.steps}")


def why_pruned(spec: TrialSpec, course: Course, evaluation: Evaluation) -> Why:
    """Asked at evaluations alone: the one after the limit may show when it was met before."""
    now, stop = CLOCKS[spec.clock].read(evaluation), bounds.latest(spec)
    if course.judged is not None:
        course.judged_at.append(now)
        course.judgements.append(course.judged)
    if stop is None:
        return None
    if now >= stop.after:
        return "pruned", stop.why
    if stop.optimism is not None and spec.target is not None:
        limit = min(stop.after, _time_budget(spec))
        curve = course.judged_at, course.judgements
        if is_hopeless(*curve, spec.target, limit, stop.optimism):
            unit = CLOCKS[spec.clock].unit
            return "pruned", f"forecast: its curve would not meet the target in {limit:.4g} {unit}"
    return None


def _time_budget(spec: TrialSpec) -> float:
    """The official clock's reading at which the trial ends at the latest."""
    if spec.clock == "steps":
        return float(spec.budget.steps)
    paired = spec.budget.reference_steps
    return spec.budget.seconds if spec.clock != "paired" or paired is None else paired
