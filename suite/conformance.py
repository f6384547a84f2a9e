"""The conformance table: every submission on every family, kept as lines and written as a table."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from cluster.checks.cells import CHECK, Cell
from scoring.ground.documents import ConfigError
from scoring.ground.files import absent, from_home, read_text, take_away, write_whole
from scoring.ground.words import Facts
from suite.text_table import markdown
from workloads.config import WorkloadId
from workloads.errors import WorkloadError

ROWS, TABLE = "rows.jsonl", "table.md"
_LONGEST = 160
"""Characters of a cell."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One cell, and whose it is."""

    submission: str
    framework: str
    sha256: str
    cell: Cell


class Kept:
    """The rows of a folder: one line each, of which the last of a kind counts.

    A submission whose text has changed since is asked anew.

    Raises:
        ConfigError: a line is no row.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / ROWS
        self._rows: dict[tuple[str, str], Row] = {}
        self._text = read_text(self._path) if self._path.exists() else ""
        for number, line in enumerate(self._text.splitlines(), 1):
            self._take(self._row(line, number))

    def add(self, row: Row) -> None:
        """Keep what was told, at once, with no one's home folder."""
        told = from_home(row.cell.told)
        row = dataclasses.replace(row, cell=dataclasses.replace(row.cell, told=told))
        self._take(row)
        self._text += json.dumps(dataclasses.asdict(row)) + "\n"
        made = absent(self._path.parent)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, self._text)  # half a line would be no table any more
        except OSError:
            take_away(made)
            raise

    def rows(self) -> list[Row]:
        """What counts, in the order in which it came."""
        return list(self._rows.values())

    def missing(
        self, submission: str, sha256: str, questions: Iterable[str], *, retry: bool
    ) -> list[str]:
        """Those of the cells that nobody has answered; with `retry` also what was not ok."""

        def answered(name: str) -> bool:
            row = self._rows.get((submission, name))
            if row is None or row.sha256 != sha256:
                return False
            return row.cell.ok or not retry

        return [name for name in questions if not answered(name)]

    def _take(self, row: Row) -> None:
        self._rows[row.submission, row.cell.asked] = row

    def _row(self, line: str, number: int) -> Row:
        try:
            fields: Facts = json.loads(line)
            row = Row(**{**fields, "cell": Cell(**fields["cell"])})
            _place(row.cell.asked)
        except (ValueError, TypeError, KeyError, WorkloadError) as error:
            advice = "remove that line, or choose another folder with -o"
            raise ConfigError(
                f"{self._path}:{number}: not a table row ({error}); {advice}"
            ) from None
        return row


def table(rows: Sequence[Row], questions: Sequence[str], *, values: bool = False) -> str:
    """Markdown: a line a submission, a column a family, and above it what they come to.

    A column's head is the newest version that somebody answered on; an answer on an earlier one
    stands there too, and says so, where there is none on a later. With `values`, beside each ok
    the judged metric at the short trial's end.
    """
    cells: dict[tuple[str, str], Row] = {}
    heads: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: _version(row.cell.asked)):
        place = _place(row.cell.asked)
        cells[row.submission, place] = row
        heads[place] = _head(row.cell.asked)
    places = [place for place in dict.fromkeys(map(_place, questions)) if place in heads]
    shown = [row for (_, place), row in cells.items() if place in places]
    names = sorted({(row.framework, row.submission) for row in rows})
    lines = [
        (name, framework, *(_text(cells.get((name, one)), heads[one], values) for one in places))
        for framework, name in names
    ]
    head = ("submission", "framework", *(heads[place] for place in places))
    return f"{_summary(rows, shown)}\n\n{markdown(head, lines)}\n"


def _place(question: str) -> str:
    """What has a column of its own: the question, without the workload's version."""
    if question == CHECK:
        return question
    return str(dataclasses.replace(WorkloadId.parse(question), version=0))


def _version(question: str) -> int:
    return 0 if question == CHECK else WorkloadId.parse(question).version


def _head(question: str) -> str:
    return question if question == CHECK else question.replace("-toy", "")


def _text(row: Row | None, head: str, values: bool) -> str:
    if row is None:
        return ""
    cell = row.cell
    if not cell.ok:
        return cell.told if len(cell.told) <= _LONGEST else f"{cell.told[:_LONGEST]}..."
    parts = ["ok"]
    if _head(cell.asked) != head:
        parts.append(f"on v{_version(cell.asked)}")
    if values and cell.value is not None:
        parts.append(f"{cell.value:.3g}")
    anew = ", anew" if cell.asked != CHECK and cell.resumes is None else ""
    return " ".join(parts) + anew


def _summary(rows: Sequence[Row], shown: Sequence[Row]) -> str:
    trials = [row.cell for row in shown if row.cell.asked != CHECK]
    checks = [row.cell for row in shown if row.cell.asked == CHECK]
    parts = [f"{len({row.submission for row in rows})} submissions"]
    if checks:
        parts.append(f"{_good(checks)} of {len(checks)} checks passed")
    if trials:
        same = sum(cell.resumes is True for cell in trials)
        parts.append(f"{_good(trials)} of {len(trials)} short trials ok")
        parts.append(f"{same} continued bit-identical after a kill")
    return f"{', '.join(parts)}. {_steps(trials)}"


def _good(cells: Iterable[Cell]) -> int:
    return sum(cell.ok for cell in cells)


def _steps(trials: Iterable[Cell]) -> str:
    steps: dict[str, set[int]] = {}
    for cell in trials:
        steps.setdefault(_head(cell.asked), set()).add(cell.steps)
    parts = (f"{name} {'/'.join(map(str, sorted(counts)))}" for name, counts in steps.items())
    return f"Steps: {', '.join(parts)}." if steps else ""
