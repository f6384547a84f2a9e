"""Which of many trials a page shows: those that decide the board, and failures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from scoring.consistency import in_budget
from scoring.ground.ends import ENDS
from scoring.ground.words import Clock
from scoring.records import Record, run_of
from scoring.times import best_metric, time_to_result

CURVES = 1000
"""The most curves drawn per workload, where its studies have several trials."""
ROWS = 2500
"""The most trials listed, where studies have several."""


def is_at_equal_budget(record: Record) -> bool:
    """Whether the trial had no target to reach, so that the metric's best value is its result."""
    target = record.header.target
    return target is not None and target.value is None


def result_of(record: Record, clock: Clock) -> float:
    """The time to the target, infinite for none; at equal budget the best value, NaN for none."""
    head = record.header
    if head.target is None or not is_at_equal_budget(record):
        return time_to_result(head, record.evaluations).on(clock)
    return best_metric(record.evaluations[: in_budget(head, record.evaluations)], head.target)


def leaders(records: Sequence[Record], clock: Clock) -> dict[int, float]:
    """By place, the trial by which each study is judged, and how late or how bad it was.

    That is the fastest to the target, or at equal budget the one with the best metric; the first,
    at infinity, where none came to anything.
    """
    best: dict[tuple[Path, str, str, int], tuple[float, int]] = {}
    for place, record in enumerate(records):
        head = record.header
        # Several runs may have a study of the same number.
        study = (run_of(record.path), head.workload, head.submission, head.study)
        own = (_lateness(record, clock), place)
        best[study] = min(best.get(study, own), own)
    return {place: late for late, place in best.values()}


def _lateness(record: Record, clock: Clock) -> float:
    result, target = result_of(record, clock), record.header.target
    if math.isnan(result):
        return math.inf
    return -result if target and target.value is None and target.goal == "max" else result


def shown(records: Sequence[Record], clock: Clock, most: int) -> list[Record]:
    """All records if there are no more than `most`, else each study's leader and what failed."""
    if len(records) <= most:
        return list(records)
    failed = {
        place
        for place, record in enumerate(records)
        if record.outcome is not None and ENDS[record.outcome.end].fails_run
    }
    return [records[place] for place in sorted(failed | leaders(records, clock).keys())]


def fastest(records: Sequence[Record], clock: Clock) -> list[Record]:
    """Of one workload, each submission's best trial, in the sense of `leaders`.

    A trial without an evaluation is none.
    """
    best: dict[str, tuple[float, int]] = {}
    begun = [record for record in records if record.evaluations]
    for place, record in enumerate(begun):
        own = (_lateness(record, clock), place)
        name = record.header.submission
        best[name] = min(best.get(name, own), own)
    return [begun[place] for _, place in best.values()]


def word(records: Sequence[Record], clock: Clock) -> str:
    """The name for the trials that `fastest` returns."""
    if any(map(is_at_equal_budget, records)):
        return "best trial"
    missed = any(math.isinf(result_of(record, clock)) for record in records)
    return "fastest trial" + ", or the first if all missed the target" * missed


def told(shown: int, of: int, what: str) -> str:
    """A sentence on what is omitted; "" for nothing."""
    if shown == of:
        return ""
    return (
        f"{shown:,} of {of:,} trials are {what}: the fastest of each study (at equal budget, the "
        "best) and those that failed."
    )
