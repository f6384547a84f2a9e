"""Finding a submission, by built-in name, path or entry point, and reading it without running it.

What identifies a submission is its text: the text travels to the worker and its SHA-256 into the
record.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scoring.ground.errors import nearest
from scoring.ground.files import FileError, read_text
from submissions.algoperf.facts import SPACE, is_algoperf, read_algoperf
from submissions.bundle import MAIN, join, read_folder, split
from submissions.contract import RESERVED, SubmissionError
from submissions.reading import StaticFacts, defines_submission, read_facts
from submissions.space import SearchSpace

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "gradathlon.submissions"
"""The entry-point group of installed submissions; an entry's value names a module."""

_FOLDER = Path(__file__).parent / "methods"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
# The benchmark's own reference trials are recorded under this prefix.
_TAKEN = "reference-"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source(StaticFacts):
    """A submission's text, and what the text says of itself.

    Attributes:
        name: on the board: the file's stem, the built-in's or the entry point's name.
        text: the whole file; of a folder, all of its files as one text (`submissions.bundle`).
        sha256: of the text in UTF-8, hexadecimal.
        origin: the path shown in messages and tracebacks.
    """

    name: str
    text: str
    sha256: str
    origin: str

    @property
    def hyperparameters(self) -> tuple[str, ...]:
        """The arguments of `submission` that are not handed in by the harness."""
        return tuple(name for name in self.arguments if name not in RESERVED)


def files_of(source: Source) -> list[str]:
    """What tracebacks call its files, the main one first."""
    folder = Path(source.origin).parent
    return [source.origin, *(str(folder / path) for path in split(source.text)[1])]


def parse(name: str, text: str, origin: str) -> Source:
    """The submission of that text, called `name`.

    Raises:
        SubmissionError: `origin:line: what is wrong; what to do`.
    """
    if not _NAME.fullmatch(name) or name.startswith(_TAKEN):
        rule = f"use letters, digits and _ . + -, and do not start with {_TAKEN!r}"
        raise SubmissionError(f"{origin}: {name!r} cannot name a submission; rename it: {rule}")
    main, files = split(text)
    if is_algoperf(main) and not defines_submission(main):
        facts: StaticFacts = read_algoperf(main, origin, files)
    else:
        facts = read_facts(main, origin, files)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Source(
        name=name,
        text=text,
        sha256=digest,
        origin=origin,
        **{field.name: getattr(facts, field.name) for field in dataclasses.fields(facts)},
    )


def is_path(word: str) -> bool:
    """Whether a submission's word is a path: it ends in `.py` or holds a separator."""
    return word.endswith(".py") or "/" in word or os.sep in word


def find(word: str) -> Source:
    """The submission that `word` names: a path, a built-in, or an installed entry point.

    A path is that of a file, or of a folder with `submission.py`, whose name is then the
    submission's.

    Raises:
        SubmissionError: no such submission, or a file that cannot be one.
    """
    if is_path(word):
        return _at(Path(word), word)
    entries = [entry for entry in _entry_points() if entry.name == word]
    places = [f"the package {_package(entry)}" for entry in entries]
    if word in shipped():
        places.insert(0, "Gradathlon itself")
    if len(places) > 1:
        offers = " and ".join(places)
        raise SubmissionError(f"{word}: provided by {offers}; give the path of the file you want")
    if word in shipped():
        path = _shipped()[word]
        return parse(word, _read(path, str(path)), str(path))
    if entries:
        path = _module_file(entries[0])
        return parse(word, _read(path, str(path)), str(path))
    if os.path.isfile(Path(word) / MAIN):
        raise SubmissionError(f"unknown submission {word!r}; did you mean './{word}'?")
    if os.path.isfile(f"{word}.py"):
        raise SubmissionError(f"unknown submission {word!r}; did you mean './{word}.py'?")
    hint = nearest(word, [*shipped(), *installed()])
    raise SubmissionError(f"unknown submission {word!r}{hint}")


def _at(path: Path, word: str) -> Source:
    """The submission of a file, or of a folder with `submission.py`.

    AlgoPerf's are folders: the path of their `submission.py` means the folder.
    """
    if not os.path.isdir(path):
        text = _read(path, word)
        if not is_algoperf(text):
            return parse(path.stem, text, word)
        if path.name != MAIN:
            return parse(path.stem, join(text, _search_space(path)), word)
        path = path.parent
    main, others = read_folder(path)
    files = {name: _read(other, str(other)) for name, other in others.items()}
    text = _read(main, str(main))
    if is_algoperf(text):
        files |= _search_space(main)
        main = main.absolute()  # some read a file of weights that lies beside them
    return parse(path.resolve().name, join(text, files), str(main))


def _search_space(path: Path) -> dict[str, str]:
    """AlgoPerf's file of points or ranges, where it lies beside the submission."""
    beside = path.parent / SPACE
    return {SPACE: _read(beside, str(beside))} if beside.is_file() else {}


@functools.cache
def _shipped() -> dict[str, Path]:
    files = sorted(_FOLDER.glob("*/*.py"), key=lambda file: file.stem)
    return {f.stem: f for f in files if defines_submission(f.read_text(encoding="utf-8"))}


def shipped() -> list[str]:
    """Names of the built-in submissions, in alphabetical order."""
    return list(_shipped())


def installed() -> list[str]:
    """Names of the submissions that installed packages offer as entry points."""
    return sorted({entry.name for entry in _entry_points()})


def describe(source: Source) -> str:
    """What `gradathlon show` prints: where it is from, its hyperparameters, and its docstring."""
    lines = [
        f"{source.name}: {source.summary or 'no docstring'}",
        f"framework  {source.framework}",
        f"file       {source.origin}",
        f"sha256     {source.sha256}",
    ]
    for name in source.hyperparameters:
        default = repr(source.defaults[name]) if name in source.defaults else "no default"
        lines.append(f"  {name} = {default}{_range(source.space, name)}")
    if source.space is not None and source.space.points is not None:
        lines.append(f"  {len(source.space.points)} points, tried in order")
    return "\n".join(lines)


def _range(space: SearchSpace | None, name: str) -> str:
    dimension = space.dimensions.get(name) if space else None
    if dimension is None:
        return ""
    form: dict[str, Any] = dimension.to_json()
    if "feasible_points" in form:
        return f"  (tuned: one of {', '.join(map(str, form['feasible_points']))})"
    return f"  (tuned: {form['min']:g} to {form['max']:g}, {form['scaling']})"


def _read(path: Path, origin: str) -> str:
    try:
        return read_text(path)
    except FileNotFoundError:
        raise SubmissionError(f"{origin}: no such file; {_beside(path)}") from None
    except FileError as error:
        raise SubmissionError(str(error)) from None


def _beside(path: Path) -> str:
    if path.parent.is_dir():
        hint = nearest(path.name, [file.name for file in path.parent.glob("*.py")])
        if "did you mean" in hint:
            return hint.removeprefix("; ")
    return f"`gradathlon new {path}` writes one to start from"


def _entry_points() -> list[EntryPoint]:
    # Slow to import, and `gradathlon --help` does not need it.
    from importlib.metadata import entry_points

    return list(entry_points(group=GROUP))


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value


def _module_file(entry: EntryPoint) -> Path:
    """The file of an entry point's module, found without importing it or its parents."""
    search: Any = None
    spec = None
    whole = ""
    for part in entry.module.split("."):
        if whole and search is None:  # a file, or nothing: there is nothing below
            spec = None
            break
        whole = f"{whole}.{part}" if whole else part
        specs = (finder.find_spec(whole, search) for finder in sys.meta_path)
        spec = next((spec for spec in specs if spec is not None), None)
        search = spec.submodule_search_locations if spec else None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        what = f"entry point {entry.name!r} of the package {_package(entry)}"
        raise SubmissionError(f"{what}: no source file for the module {entry.module!r}")
    return Path(spec.origin)
