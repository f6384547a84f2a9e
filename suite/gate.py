"""The gate of continuous integration: what got worse since a kept board, on the steps clock.

Steps do not depend on how busy a machine is, and are exact within one class of CPU. On another
class a run differs as from another seed: give a slack, in percent of the steps.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from json import JSONDecodeError, loads
from pathlib import Path
from typing import Literal

import pydantic

from scoring.board import Board, Row
from scoring.ground.documents import ConfigError

SCORE = "score"


class _Kept(pydantic.BaseModel):
    """Of the JSON of `score`, what the gate reads; the rest is let be."""

    model_config = pydantic.ConfigDict(frozen=True)


class KeptCell(_Kept):
    """A workload's median steps to the target, None where it was missed."""

    time: float | None


class KeptRow(_Kept):
    """A submission's score and steps."""

    submission: str
    framework: str
    is_reference: bool
    score: float
    cells: dict[str, KeptCell]


class Baseline(_Kept):
    """A board as `gradathlon score --clock steps --format json` prints it."""

    protocol: Literal["gradathlon", "algoperf"]
    clock: str
    rows: list[KeptRow]


@dataclasses.dataclass(frozen=True)
class Change:
    """A number of the baseline and what became of it.

    Attributes:
        submission: whose.
        where: a workload, or the word "score".
        before: steps, infinite for a missed target; or a score.
        after: likewise; NaN where it was not raced any more.
        worse: by more than the slack.
    """

    submission: str
    where: str
    before: float
    after: float
    worse: bool


def read_baseline(path: Path) -> Baseline:
    """The board in a file.

    Raises:
        ConfigError: it cannot be read, is no board, or not one on the steps clock.
    """
    make = "make one with: gradathlon score RUN --clock steps --format json"
    try:
        baseline = Baseline.model_validate(loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; {make}") from None
    except (ValueError, JSONDecodeError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, pydantic.ValidationError) else None
        what = ".".join(map(str, first["loc"])) + ": " + first["msg"] if first else "not JSON"
        raise ConfigError(f"{path}: not a board ({what}); {make}") from None
    if baseline.clock != "steps":
        raise ConfigError(f"{path}: a board on the clock {baseline.clock!r}; {make}")
    return baseline


def compare(board: Board, baseline: Baseline, slack: float) -> list[Change]:
    """Every number of the baseline beside the board's; `slack` is a share, .05 for 5 percent."""
    rows = {(row.submission, row.framework): row for row in board.rows}
    return [
        change
        for kept in baseline.rows
        for change in _changes(kept, rows.get((kept.submission, kept.framework)), slack)
    ]


def _changes(kept: KeptRow, row: Row | None, slack: float) -> Iterator[Change]:
    for workload, cell in kept.cells.items():
        now = row.cells.get(workload) if row else None
        before = math.inf if cell.time is None else cell.time
        after = math.nan if now is None or not now.trials else now.time
        # A workload that is not raced any more is worse, whatever it was.
        worse = not after <= before * (1 + slack)
        yield Change(kept.submission, workload, before, after, worse)
    if not kept.is_reference:
        after = row.score if row else math.nan
        worse = not after >= kept.score * (1 - slack) - 1e-9
        yield Change(kept.submission, SCORE, kept.score, after, worse)


def markdown(changes: Sequence[Change], slack: float) -> str:
    """What got worse, as a table; else one line that says that nothing did."""
    worse = [change for change in changes if change.worse]
    allowed = f" (slack {slack:.3g})" if slack else ""
    if not worse:
        return f"**Nothing got worse**: {len(changes)} numbers compared on the steps clock{allowed}"
    lines = [
        f"**{len(worse)} of {len(changes)} numbers got worse** on the steps clock{allowed}",
        "",
        "| submission | where | baseline | now | change |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for one in worse:
        texts = (one.submission, one.where, _number(one, one.before), _number(one, one.after))
        lines.append(f"| {' | '.join(texts)} | {_difference(one)} |")
    return "\n".join(lines)


def _number(change: Change, value: float) -> str:
    if math.isnan(value):
        return "not raced"
    if math.isinf(value):
        return "missed"
    return f"{value:.3f}" if change.where == SCORE else f"{value:,.0f}"


def _difference(change: Change) -> str:
    if not math.isfinite(change.after) or not change.before:
        return ""
    return f"{100 * (change.after / change.before - 1):+.1f} %"
