"""Successive halving over workloads, and the exact limits of its trials: pure arithmetic.

A candidate's total is the sum of its parts of the benchmark score over the workloads that it was
raced on so far. Each rung of the ladder races those that are left on some more workloads and keeps
the best. A part is never negative, so that what is known already bounds every total from below,
and `MOST` bounds what a trial can still add. A trial stops once its candidate can no longer be
kept; the kept are those of the ladder without limits, to the last one (`tests/suite` holds it
against random races).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from scoring.profiles import TAU_MAX

MOST = TAU_MAX / (TAU_MAX - 1.0)
"""A workload's part of the score when the target is met at once."""
_SLACK = 1e-9
"""So that rounding stops nobody whose total equals the bar."""


@dataclasses.dataclass(frozen=True)
class Rung:
    """The workloads that a rung adds, and how many candidates go on from it."""

    workloads: tuple[str, ...]
    keep: int


@dataclasses.dataclass(frozen=True)
class Part:
    """What one trial brought.

    Attributes:
        gain: its workload's part of the score, 0 where the target was missed.
        progress: how near it came, higher is better, -inf where nothing was measured; it tells
            apart candidates of equal totals alone.
    """

    gain: float
    progress: float = -math.inf


Parts = Mapping[int, Mapping[str, Part]]
"""By candidate and workload."""


def ladder(candidates: int, finalists: int, workloads: Sequence[str]) -> list[Rung]:
    """The rungs from all candidates to the finalists.

    As many as halving takes, and no more than there are workloads; each adds as many workloads and
    keeps the same share as any other, up to rounding, so that a later rung is cheaper than the one
    before.
    """
    finalists = min(finalists, candidates)
    halvings = math.ceil(math.log2(max(candidates / finalists, 2.0)) - 1e-9)
    count = min(len(workloads), halvings)
    ends = [math.ceil(len(workloads) * (rung + 1) / count) for rung in range(count)]
    share = (finalists / candidates) ** (1 / count)
    counts = [math.ceil(candidates * share ** (rung + 1) - 1e-9) for rung in range(count)]
    starts = [0, *ends[:-1]]
    return [
        Rung(tuple(workloads[start:end]), max(keep, finalists))
        for start, end, keep in zip(starts, ends, counts, strict=True)
    ]


def total(parts: Parts, candidate: int) -> float:
    """The sum of what a candidate has so far."""
    return math.fsum(part.gain for part in parts.get(candidate, {}).values())


def latest_ratio(
    parts: Parts, candidates: Sequence[int], rung: Rung, candidate: int, workload: str
) -> float:
    """The ratio to the reference's time after which a trial cannot keep its candidate any more.

    Infinite while it can be as slow as it likes, 0 or below where even no time at all would be
    too much. `parts` are those of all rungs so far, of this one as far as they are known.
    """
    totals = sorted((total(parts, one) for one in candidates), reverse=True)
    bar = totals[rung.keep - 1] if len(totals) >= rung.keep else -math.inf
    ratios = parts.get(candidate, {})
    others = sum(one not in ratios for one in rung.workloads if one != workload)
    needed = bar - total(parts, candidate) - MOST * others
    if needed <= 0:
        return math.inf
    return (TAU_MAX - needed * (TAU_MAX - 1.0)) * (1.0 + _SLACK) + _SLACK


def kept(parts: Parts, candidates: Sequence[int], count: int) -> list[int]:
    """The best candidates, best first: by total, then by how near they came, then by number."""
    totals = {one: total(parts, one) for one in candidates}

    def key(one: int) -> tuple[float, float, int]:
        equals = [other for other in candidates if totals[other] == totals[one]]
        return -totals[one], _mean_place(parts, one, equals), one

    return sorted(candidates, key=key)[:count]


def _mean_place(parts: Parts, candidate: int, equals: Sequence[int]) -> float:
    """The mean over workloads of how many of its equals came nearer to the target."""
    own = parts.get(candidate, {})
    nearer = [
        sum(parts[other][workload].progress > part.progress for other in equals)
        for workload, part in own.items()
    ]
    return sum(nearer) / len(nearer) if nearer else 0.0
