"""The gate of continuous integration: what got worse since a kept board, on the steps clock.

Steps do not depend on how busy a machine is. Within one class of CPU they are exact, so that one
step more is worse. On another class a run differs as from another seed: there a target is met
later only where more steps are needed than seeds explain, by a 95 % bound over all numbers
compared. The spread over seeds is that of the reference's steps which ship with the targets, or
of the studies.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from json import loads
from pathlib import Path
from typing import Literal

import pydantic

from scoring.board import Board, Cell, Row
from scoring.frame import Gathered
from scoring.gradathlon import weights
from scoring.ground.documents import ConfigError
from scoring.ground.files import read_text
from scoring.profiles import TAU_MAX

SCORE = "score"
LEVEL = 0.05
"""At most this share of runs of unchanged submissions fails on another class of CPU."""
FEWEST = 3
"""From so many seeds or studies on their spread is taken."""
LARGEST = 100_000_000
"""Bytes of the largest board that is read."""
_OF_MEDIAN = 1.2533
"""A median's standard error is so many times a mean's."""


class _Kept(pydantic.BaseModel):
    """Of the JSON of `score`, what the gate reads; the rest is let be."""

    model_config = pydantic.ConfigDict(frozen=True, allow_inf_nan=False)


class KeptCell(_Kept):
    """A workload's median steps to the target, None where it was missed, and the studies'."""

    time: float | None
    ratio: float | None = None
    study_times: list[float | None] = []
    trials: int = 1
    """0 where the submission was not raced there: of several machines, each may race its own."""


class KeptRow(_Kept):
    """A submission's score and steps."""

    submission: str
    framework: str
    is_reference: bool
    score: float
    cells: dict[str, KeptCell]


class KeptProvenance(_Kept):
    """On which classes of machine the board was raced."""

    machines: list[str] = []


class Baseline(_Kept):
    """A board as `gradathlon score --clock steps --format json` prints it."""

    protocol: Literal["gradathlon", "algoperf"]
    clock: str
    rows: list[KeptRow]
    provenance: KeptProvenance | None = None

    @property
    def numbers(self) -> int:
        """How many times to a target are compared."""
        return sum(bool(cell.trials) for row in self.rows for cell in row.cells.values())

    @property
    def unraced(self) -> list[str]:
        """What it has no trial of, so that nothing can be compared."""
        return [
            f"{row.submission} on {workload}"
            for row in self.rows
            for workload, cell in row.cells.items()
            if not cell.trials
        ]


@dataclasses.dataclass(frozen=True)
class Allowance:
    """By how much a number may be worse.

    Attributes:
        slack: a share of the steps, and of the score, .05 for 5 percent; None: by seeds.
        spread: by workload and framework, the standard deviation of the logarithm of steps over
            seeds.
        z: quantile of the normal distribution for one number of all that are compared.
    """

    slack: float | None
    spread: Mapping[tuple[str, str], float] = dataclasses.field(default_factory=dict)
    z: float = 0.0

    def factor(self, workload: str, framework: str, studies: Sequence[int]) -> float:
        """What steps may be multiplied by, of medians over so many studies before and after."""
        if self.slack is not None:
            return 1.0 + self.slack
        error = math.sqrt(sum((_OF_MEDIAN if n > 2 else 1.0) ** 2 / max(1, n) for n in studies))
        return math.exp(self.z * self.spread.get((workload, framework), 0.0) * error)

    @property
    def told(self) -> str:
        """Half a sentence."""
        if self.slack is None:
            return ", beyond seed variation (another class of CPU)"
        return f" (slack {self.slack:.3g})" if self.slack else ""


@dataclasses.dataclass(frozen=True)
class Change:
    """A number of the baseline and what became of it.

    Attributes:
        submission: whose.
        where: a workload, or the word "score".
        before: steps, infinite for a missed target; or a score.
        after: likewise; NaN where it was not raced any more.
        worse: by more than is allowed.
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
        baseline = Baseline.model_validate(loads(read_text(path, LARGEST)))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; {make}") from None
    except (ValueError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, pydantic.ValidationError) else None
        what = ".".join(map(str, first["loc"])) + ": " + first["msg"] if first else "not JSON"
        raise ConfigError(f"{path}: not a board ({what}); {make}") from None
    if baseline.clock != "steps":
        raise ConfigError(f"{path}: a board on the {baseline.clock} clock; {make}")
    return baseline


def allowance(board: Board, gathered: Gathered, baseline: Baseline) -> Allowance:
    """Nothing on the baseline's class of machine, and what seeds explain on another.

    Raises:
        ConfigError: on another class, and there is nothing to tell what seeds do.
    """
    before = baseline.provenance.machines if baseline.provenance else []
    after = list(board.provenance.machines) if board.provenance else []
    if len(after) == 1 and before == after:
        return Allowance(0.0)
    spread = dict(_spread(gathered))
    for row in board.rows:
        for workload, cell in row.cells.items():
            if cell.trials and (workload, row.framework) not in spread:
                raise ConfigError(
                    f"the baseline was raced on {' and '.join(before) or 'an unknown machine'}, "
                    f"this run on {' and '.join(after)}, and the seed variation on {workload} is "
                    "unknown: race 3 studies or more, or allow some percent with --slack"
                )
    level = LEVEL / max(1, baseline.numbers)
    return Allowance(None, spread, statistics.NormalDist().inv_cdf(1 - level))


def _spread(gathered: Gathered) -> Iterator[tuple[tuple[str, str], float]]:
    """By workload and framework: of the reference's shipped steps, else the most of the run's."""
    trials = gathered.trials
    met = trials[(trials["steps"] > 0) & (trials["steps"] < math.inf)]
    most: dict[tuple[str, str], float] = {}
    for (workload, framework, _), rows in met.groupby(["workload", "framework", "submission"]):
        times = rows.groupby("number")["steps"].min().tolist()
        if len(times) >= FEWEST:
            place = (str(workload), str(framework))
            most[place] = max(most.get(place, 0.0), statistics.stdev(map(math.log, times)))
    yield from most.items()
    for (_, workload, framework), steps in gathered.shipped.steps.items():
        if len(steps) >= FEWEST:
            yield (workload, framework), statistics.stdev(map(math.log, steps))


def compare(board: Board, baseline: Baseline, allowed: Allowance) -> list[Change]:
    """Every number of the baseline beside the board's, but for what it has no trial of."""
    rows = {(row.submission, row.framework): row for row in board.rows}
    return [
        change
        for base in baseline.rows
        for change in _changes(base, rows.get((base.submission, base.framework)), allowed)
    ]


def _changes(base: KeptRow, row: Row | None, allowed: Allowance) -> Iterator[Change]:
    loss, shares = 0.0, weights(base.cells)
    for workload, cell in base.cells.items():
        if not cell.trials:
            continue
        now = row.cells.get(workload) if row else None
        factor = allowed.factor(workload, base.framework, _studies(cell, now))
        before = math.inf if cell.time is None else cell.time
        after = math.nan if now is None or not now.trials else now.time
        # A workload that is not raced any more is worse, whatever it was.
        worse = not after <= before * factor
        yield Change(base.submission, workload, before, after, worse)
        ratio = TAU_MAX if cell.ratio is None else cell.ratio
        loss += shares[workload] * ratio * (factor - 1.0) / (TAU_MAX - 1.0)
    if not base.is_reference:
        after = row.score if row else math.nan
        least = base.score - loss if allowed.slack is None else base.score * (1 - allowed.slack)
        yield Change(base.submission, SCORE, base.score, after, not after >= least - 1e-9)


def _studies(cell: KeptCell, now: Cell | None) -> tuple[int, int]:
    return len(cell.study_times), len(now.study_times) if now else 0


def markdown(changes: Sequence[Change], allowed: Allowance) -> str:
    """What got worse, as a table; else one line that says that nothing did."""
    worse = [change for change in changes if change.worse]
    if not worse:
        count = f"{len(changes)} numbers compared on the steps clock"
        return f"**Nothing got worse**{allowed.told}: {count}"
    lines = [
        f"**{len(worse)} of {len(changes)} numbers got worse** on the steps clock{allowed.told}",
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
