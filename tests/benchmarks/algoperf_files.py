"""AlgoPerf's published submission files, one by one: which run here, and how far they come.

    python -m tests.benchmarks.algoperf_files FOLDER -o DIR [-w ID[=STEPS] ..] [--steps N] [-k PART]

FOLDER is a checkout with `submission.py` files anywhere below. Each makes the short trials of
`gradathlon conformance` on every toy family; DIR keeps what was found and holds the table.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

from cluster.checks.cells import Cell, cells, make_ready
from cluster.checks.conformance import default_workloads
from submissions.contract import SubmissionError
from submissions.source import find
from suite.conformance import TABLE, Kept, Row, table


def main() -> None:
    """Ask what is not known yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("-w", "--workload", action="append")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("-k", "--only", default="", help="files whose path holds this")
    parser.add_argument("--retry", action="store_true", help="what was not ok as well")
    given = parser.parse_args()
    kept = Kept(given.output)
    words = [word.partition("=") for word in given.workload or default_workloads()]
    steps = {id: int(count or given.steps) for id, _, count in words}
    make_ready(steps)
    for path in sorted(given.folder.rglob("submission.py")):
        name = path.parent.relative_to(given.folder).as_posix()
        if given.only in name:
            for row in _answered(path, name, steps, kept, retry=given.retry):
                kept.add(row)
                print(name, row.cell, file=sys.stderr, flush=True)
    text = table(kept.rows(), default_workloads(), values=True)
    (given.output / TABLE).write_text(text, encoding="utf-8")
    print(text)


def _answered(
    path: Path, name: str, steps: dict[str, int], kept: Kept, *, retry: bool
) -> Iterator[Row]:
    try:
        source = find(str(path))
    except SubmissionError as error:
        for id in kept.missing(name, "", steps, retry=retry):
            yield Row(name, "", "", Cell(id, False, _short(str(error), path)))
        return
    missing = kept.missing(name, source.sha256, steps, retry=retry)
    for cell in cells(source, {id: steps[id] for id in missing}):
        told = dataclasses.replace(cell, told=_short(cell.told, path))
        yield Row(name, source.framework, source.sha256, told)


def _short(text: str, path: Path) -> str:
    """Without the folder of the file."""
    return text.replace(f"{path.parent}/", "")


if __name__ == "__main__":
    main()
