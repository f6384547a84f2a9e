"""Which of many trials a page shows: each study's fastest, and what failed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scoring.ground.ends import ENDS
from scoring.ground.words import Clock
from scoring.records import Record
from scoring.times import time_to_result

CURVES = 1000
"""So many of a workload's curves are drawn at most, where its studies have several trials."""
ROWS = 2500
"""So many trials are listed at most, where studies have several."""


def shown(records: Sequence[Record], clock: Clock, most: int) -> list[Record]:
    """All records if there are no more than `most`, else those a board depends on and failures.

    Of each study that is the fastest trial on the clock, or the first where none met the target.
    """
    if len(records) <= most:
        return list(records)
    fastest: dict[tuple[object, ...], tuple[float, int]] = {}
    failed = set()
    for place, record in enumerate(records):
        head, outcome = record.header, record.outcome
        time = time_to_result(head, record.evaluations).on(clock)
        study = (head.workload, head.submission, head.framework, head.study)
        fastest[study] = min(fastest.get(study, (math.inf, place)), (time, place))
        if outcome is not None and ENDS[outcome.end].fails_run:
            failed.add(place)
    places = failed | {place for _, place in fastest.values()}
    return [records[place] for place in sorted(places)]


def fastest(records: Sequence[Record], clock: Clock) -> list[Record]:
    """Of one workload, each submission's fastest trial; the first where all of them missed.

    A trial without an evaluation is none.
    """
    best: dict[str, tuple[float, Record]] = {}
    for record in records:
        if not record.evaluations:
            continue
        time = time_to_result(record.header, record.evaluations).on(clock)
        name = record.header.submission
        if name not in best or time < best[name][0]:
            best[name] = (time, record)
    return [record for _, record in best.values()]


def told(shown: int, of: int, what: str) -> str:
    """What is left out, in a sentence; "" for nothing."""
    if shown == of:
        return ""
    return f"Of {of:,} trials {shown:,} are {what}: each study's fastest, and those that failed."
