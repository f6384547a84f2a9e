"""How much a board depends on its choices: on single workloads, and on how far the targets lie.

Also the geometric mean of speed-ups, where halves and doubles weigh the same; the score is an
arithmetic mean.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scoring.board import Board, Row
from scoring.gradathlon import mean_score
from scoring.ground.clocks import CLOCKS
from scoring.ground.words import Clock, Target, best, is_reference, reference_of
from scoring.records import Record, RecordError, run_of
from scoring.times import between, crossing

LAXER = (0.4, 0.65)
"""Shares of the reference's time at which laxer targets are taken from its curves."""


@dataclasses.dataclass(frozen=True)
class SpeedUp:
    """The geometric mean of an entry's speed-ups over the workloads that it met."""

    mean: float
    met: int
    of: int


@dataclasses.dataclass(frozen=True)
class Dropped:
    """The board without one workload: its order, best first, and scores."""

    workload: str
    order: tuple[str, ...]
    scores: Mapping[str, float]


def speed_up(row: Row) -> SpeedUp:
    """The reference's time over the row's; NaN where no target was met."""
    ratios = [cell.ratio for cell in row.cells.values() if 0 < cell.ratio < math.inf]
    mean = math.exp(-statistics.fmean(map(math.log, ratios))) if ratios else math.nan
    return SpeedUp(mean, len(ratios), len(row.cells))


def leave_one_out(board: Board) -> list[Dropped]:
    """The `gradathlon` board without each of its workloads in turn."""
    rows = [row for row in board.rows if not row.is_reference]
    boards = []
    for left in board.workloads:
        scores = {
            row.submission: mean_score(
                {id: cell.ratio for id, cell in row.cells.items() if id != left}
            )
            for row in rows
        }
        order = sorted(scores, key=lambda name: (-scores[name], name))
        boards.append(Dropped(left, tuple(order), scores))
    return boards if len(board.workloads) > 1 else []


def laxer_ratios(
    records: Sequence[Record], clock: Clock, share: float
) -> dict[str, dict[str, float]]:
    """By workload and submission: ratios at the target that the reference meets at `share`.

    The target is the median over the references' trials of what each had reached by that share of
    its time to the real one; a ratio is the median over studies of a submission's fastest trial to
    it, over that of its framework's reference. Workloads whose reference was not raced, or did not
    meet the target, are left out.
    """
    ratios: dict[str, dict[str, float]] = {}
    for workload in sorted({record.header.workload for record in records}):
        own = [one for one in records if one.header.workload == workload and one.header.target]
        values = [
            value
            for one in own
            if is_reference(one.header.submission)
            for value in _reached_by(one, clock, share)
        ]
        if not values:
            continue
        lax = statistics.median(values)
        times: dict[tuple[str, str], dict[tuple[Path, int], float]] = {}
        for one in own:
            entry = (one.header.submission, one.header.framework)
            assert one.header.target is not None
            aim = dataclasses.replace(one.header.target, value=lax)
            studies = times.setdefault(entry, {})
            study = (run_of(one.path), one.header.study)
            studies[study] = min(studies.get(study, math.inf), _time_to(one, clock, aim))
        medians = {entry: statistics.median(own.values()) for entry, own in times.items()}
        for (name, framework), time in medians.items():
            base = medians.get((reference_of(framework), framework), math.inf)
            if 0 < base < math.inf and not is_reference(name):
                ratios.setdefault(workload, {})[name] = time / base
    return ratios


def told(board: Board, records: Sequence[Record]) -> Iterator[str]:
    """Lines to print beneath a board of the gradathlon protocol.

    Raises:
        RecordError: the board is another protocol's.
    """
    if board.protocol != "gradathlon":
        raise RecordError("--more needs the gradathlon protocol; leave out --protocol")
    rows = [row for row in board.rows if not row.is_reference]
    yield "geometric mean speed-up over the workloads whose target was met"
    for row in rows:
        speed = speed_up(row)
        yield f"  {row.submission}: {speed.mean:.3f} ({speed.met} of {speed.of} met)"
    order = tuple(row.submission for row in rows)
    for dropped in leave_one_out(board):
        same = dropped.order == order
        yield (f"without {dropped.workload}: {'same order' if same else ' > '.join(dropped.order)}")
    if board.on_several_machines:
        names = ", ".join(sorted(board.on_several_machines))
        yield f"no laxer targets where seconds are of several kinds of machines: {names}"
    alike = [one for one in records if one.header.workload not in board.on_several_machines]
    for share in LAXER:
        for workload, ratios in laxer_ratios(alike, board.clock, share).items():
            fastest = sorted(ratios.items(), key=lambda pair: pair[1])
            ranked = ", ".join(f"{name} {_ratio(ratio)}" for name, ratio in fastest)
            yield f"{workload} at the target met in {share:.0%} of the reference's time: {ranked}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value < math.inf else "missed"


def _curve(record: Record, clock: Clock) -> list[tuple[float, float]]:
    target = record.header.target
    assert target is not None
    return [
        (CLOCKS[clock].read(one), one.metrics[target.metric])
        for one in record.evaluations
        if not math.isnan(one.metrics.get(target.metric, math.nan))
    ]


def _reached_by(record: Record, clock: Clock, share: float) -> Iterator[float]:
    """The best value by that share of the time to the target, none where that was not met."""
    target = record.header.target
    assert target is not None
    curve, hit = _curve(record, clock), _time_to(record, clock, target)
    early = [value for time, value in curve if time <= share * hit < math.inf]
    if early:
        yield best(early, target.goal)


def _time_to(record: Record, clock: Clock, target: Target) -> float:
    """When the metric crosses a target, whatever the budget."""
    before: tuple[float, float] | None = None
    for time, value in _curve(record, clock):
        if target.met_by(value):
            return between(before[0], time, crossing(target, before[1], value)) if before else time
        before = time, value
    return math.inf
