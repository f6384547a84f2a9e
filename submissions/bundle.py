"""A submission of several files as one text: what is sent, hashed and stored in a run.

The text is that of `submission.py` as it stands, so that its line numbers hold, followed by the
other files as comments.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from submissions.contract import SubmissionError

MAIN = "submission.py"
FILES_LIMIT, SIZE_LIMIT = 100, 2_000_000
_HEAD = "# gradathlon: beside it lies "
_LINE = "#| "


def join(main: str, files: Mapping[str, str]) -> str:
    """One text of the main file and of those beside it, by their paths."""
    parts = [main if main.endswith("\n") or not files else f"{main}\n"]
    for path in sorted(files):
        lines = [f"{_LINE}{line}\n" for line in files[path].split("\n")]
        parts += [f"{_HEAD}{path}\n", *lines]
    return "".join(parts)


def split(text: str) -> tuple[str, dict[str, str]]:
    """The inverse: the main file, and the others by their paths."""
    files: dict[str, str] = {}
    main, *rest = text.split(f"\n{_HEAD}")
    for part in rest:
        path, _, body = part.partition("\n")
        lines = body.removesuffix("\n").split("\n")
        if not all(line.startswith(_LINE) for line in lines):
            return text, {}  # a comment that only looks like one of ours
        files[path] = "\n".join(line.removeprefix(_LINE) for line in lines)
    return (f"{main}\n", files) if files else (text, {})


def read_folder(folder: Path) -> tuple[Path, dict[str, Path]]:
    """The main file of a folder, and its other Python files by their paths in it.

    Raises:
        SubmissionError: no `submission.py` in it, or too many files.
    """
    main = folder / MAIN
    if not main.is_file():
        raise SubmissionError(f"{folder}: no {MAIN} in it; `gradathlon new {main}` writes one")
    others = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*.py"))
        if path != main and path.is_file() and not _hidden(path.relative_to(folder))
    }
    if len(others) > FILES_LIMIT:
        raise SubmissionError(f"{folder}: {len(others)} Python files; at most {FILES_LIMIT}")
    size = sum(path.stat().st_size for path in others.values())
    if size > SIZE_LIMIT:
        raise SubmissionError(f"{folder}: {size:,} bytes of Python; at most {SIZE_LIMIT:,}")
    return main, others


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "__pycache__")) for part in path.parts)
