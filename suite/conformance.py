"""The conformance table: every submission on every family, kept as lines and written as a table."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from cluster.cells import CHECK, Cell
from scoring.ground.documents import ConfigError
from scoring.ground.files import read_text
from scoring.ground.words import Facts
from suite.columns import markdown

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
        if self._path.exists():
            for number, line in enumerate(read_text(self._path).splitlines(), 1):
                self._take(self._row(line, number))

    def add(self, row: Row) -> None:
        """Keep what was told, at once."""
        self._take(row)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(row)) + "\n")

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
            return Row(**{**fields, "cell": Cell(**fields["cell"])})
        except (ValueError, TypeError, KeyError) as error:
            advice = "remove that line, or name another folder with -o"
            raise ConfigError(
                f"{self._path}:{number}: no row of a table ({error}); {advice}"
            ) from None


def table(rows: Sequence[Row], questions: Sequence[str], *, values: bool = False) -> str:
    """Markdown: a line a submission, a column a family, and above it what they come to.

    With `values`, beside each ok the judged metric at the short trial's end.
    """
    cells = {(row.submission, row.cell.asked): row for row in rows}
    columns = [name for name in questions if any(key[1] == name for key in cells)]
    names = sorted({(row.framework, row.submission) for row in rows})
    lines = [
        (name, framework, *(_text(cells.get((name, column)), values) for column in columns))
        for framework, name in names
    ]
    heads = ("submission", "framework", *(_head(column) for column in columns))
    return f"{_summary(rows, columns)}\n\n{markdown(heads, lines)}\n"


def _head(question: str) -> str:
    return question if question == CHECK else question.replace("-toy", "")


def _text(row: Row | None, values: bool) -> str:
    if row is None:
        return ""
    cell = row.cell
    if cell.ok:
        anew = ", anew" if cell.asked != CHECK and cell.resumes is None else ""
        return f"ok{anew}" + (f" {cell.value:.3g}" if values and cell.value is not None else "")
    return cell.told if len(cell.told) <= _LONGEST else f"{cell.told[:_LONGEST]}..."


def _summary(rows: Sequence[Row], columns: Sequence[str]) -> str:
    counted = [row.cell for row in rows if row.cell.asked in columns]
    trials = [cell for cell in counted if cell.asked != CHECK]
    checks = [cell for cell in counted if cell.asked == CHECK]
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
