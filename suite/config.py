"""A suite: which workloads and submissions race, under which ruleset, on which clock."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import workloads
from scoring.ground.documents import ConfigError, Document, Key
from scoring.ground.errors import nearest
from scoring.run_file import Points, Suite
from submissions.contract import SubmissionError
from submissions.source import Source, find
from workloads.errors import WorkloadError

FOLDER = Path(__file__).parent / "suites"
_Error = Callable[[Sequence[Key], str], ConfigError]


@dataclasses.dataclass(frozen=True)
class NamedSuite:
    """A suite and the name of its file."""

    name: str
    suite: Suite


def shipped() -> list[str]:
    """Names of the suites that come with Gradathlon."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(word: str) -> NamedSuite:
    """The suite that `word` names: a shipped one, or the path of a YAML file.

    Raises:
        ConfigError: no such suite, or a wrong file, with the line of the wrong key.
    """
    if word.endswith((".yaml", ".yml")) or "/" in word or os.sep in word:
        return _read(Path(word))
    if word not in shipped():
        raise ConfigError(f"unknown suite {word!r}{nearest(word, shipped())}")
    return _read(FOLDER / f"{word}.yaml")


def override(named: NamedSuite, flags: dict[str, Any]) -> NamedSuite:
    """The suite with those of its keys replaced that the command line gave (those not None).

    Raises:
        ConfigError: the flags do not go with the suite's ruleset.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    suite = named.suite.model_copy(update=given)
    for key, message in _contradictions(suite):
        raise ConfigError(f"--{key} {given.get(key, '')}: suite {named.name!r}: {message}")
    return NamedSuite(named.name, suite)


def _read(path: Path) -> NamedSuite:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    document = Document(text, str(path))
    suite = document.validate(Suite, document.data)
    suite = suite.model_copy(
        update={"submissions": [_from_folder(word, path.parent) for word in suite.submissions]}
    )
    for key, message in _contradictions(suite):
        raise document.error([key], message)
    _check_points(suite, _check_names(suite, document.error), document.error)
    return NamedSuite(path.stem, suite)


def _from_folder(word: str, folder: Path) -> str:
    is_path = word.endswith(".py") or "/" in word or os.sep in word
    return str(folder / word) if is_path else word


def _contradictions(suite: Suite) -> list[tuple[str, str]]:
    if suite.ruleset == "self" and suite.trials > 1:
        return [("trials", "self tuning has one trial a study; leave it out")]
    return []


def _check_names(suite: Suite, error: _Error) -> dict[str, Source]:
    """The submissions by their names."""
    for number, id in enumerate(suite.workloads):
        if id in suite.workloads[:number]:
            raise error(["workloads", number], f"{id!r} is given twice")
        try:
            workloads.get(id)
        except WorkloadError as problem:
            raise error(["workloads", number], str(problem)) from None
    sources: dict[str, Source] = {}
    for number, word in enumerate(suite.submissions):
        try:
            source = find(word)
        except SubmissionError as problem:
            raise error(["submissions", number], str(problem)) from None
        if source.name in sources:
            raise error(["submissions", number], f"a second submission named {source.name!r}")
        sources[source.name] = source
    return sources


def _check_points(suite: Suite, sources: dict[str, Source], error: _Error) -> None:
    for id in suite.points_on:
        if id not in suite.workloads:
            hint = nearest(id, suite.workloads)
            raise error(["points_on", id], f"not among the workloads{hint}")
    for path, name, points in _all_points(suite):
        if name not in sources:
            raise error(path, f"not among the submissions{nearest(name, sources)}")
        for at, message in _wrong_points(suite, sources[name], points):
            raise error([*path, *at], message)


def _all_points(suite: Suite) -> Iterator[tuple[list[Key], str, Points]]:
    """Path, submission and points of every entry of `points` and `points_on`."""
    for name, points in suite.points.items():
        yield ["points", name], name, points
    for id, by_name in suite.points_on.items():
        for name, points in by_name.items():
            yield ["points_on", id, name], name, points


def _wrong_points(
    suite: Suite, source: Source, points: Points
) -> Iterator[tuple[Sequence[Key], str]]:
    if not points or (suite.ruleset == "self" and len(points) > 1):
        expected = "one point" if suite.ruleset == "self" else "at least one point"
        yield [], f"expected {expected}, found {len(points)}"
    for number, point in enumerate(points):
        for key in point:
            if key not in source.hyperparameters:
                hint = nearest(key, source.hyperparameters)
                yield [number, key], f"{source.name} has no such hyperparameter{hint}"
