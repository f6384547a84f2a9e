"""A suite: which workloads and submissions race, under which ruleset, on which clock."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import workloads
from scoring.ground.documents import ConfigError, Document, Key, read_config, together
from scoring.ground.errors import nearest
from scoring.run_file import Points, Suite
from submissions.contract import SubmissionError
from submissions.source import Source, find, is_path
from suite.points import wrong_values
from workloads.errors import WorkloadError

FOLDER = Path(__file__).parent / "suites"
_Wrong = tuple[Sequence[Key], str]
"""The path of a key, and what is wrong with it."""


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
        if not (path := Path(word)).exists():
            there = f"; known suites: {', '.join(shipped())}"
            raise ConfigError(f"{word}: no such file{_spelt_otherwise(path) or there}")
        return _read(path)
    if word not in shipped():
        hint = _spelt_otherwise(Path(word)) or nearest(word, shipped())
        raise ConfigError(f"unknown suite {word!r}{hint}")
    return _read(FOLDER / f"{word}.yaml")


def override(named: NamedSuite, flags: dict[str, object]) -> NamedSuite:
    """The suite with those of its keys replaced that the command line gave (those not None).

    Raises:
        ConfigError: the flags do not go with the suite's ruleset.
    """
    values = {key: value for key, value in flags.items() if value is not None}
    suite = named.suite.model_copy(update=values)
    for key, message in _contradictions(suite):
        raise ConfigError(f"--{key} {values.get(key, '')}: suite {named.name!r}: {message}")
    return NamedSuite(named.name, suite)


def _spelt_otherwise(path: Path) -> str:
    """A word for the file of that name with the right ending, where there is one."""
    files = (path.with_suffix(ending) for ending in (".yaml", ".yml") if path.name)
    return next((f"; did you mean '{file}'?" for file in files if file.is_file()), "")


def _read(path: Path) -> NamedSuite:
    document = Document(read_config(path), str(path))
    suite = document.validate(Suite, document.data)
    suite = suite.model_copy(
        update={"submissions": [_from_folder(word, path.parent) for word in suite.submissions]}
    )
    wrong = [document.error([key], message) for key, message in _contradictions(suite)]
    wrong += [document.error(*one) for one in _wrong_workloads(suite)]
    sources, problems = _sources(suite)
    wrong += [document.error(*one) for one in problems]
    if not problems:
        wrong += [document.error(*one) for one in _wrong_points(suite, sources)]
    if wrong:
        raise together(wrong)
    return NamedSuite(path.stem, suite)


def _from_folder(word: str, folder: Path) -> str:
    if not is_path(word):
        return word
    # A path drops a leading "./", without which a folder is a name.
    path = str(folder / os.path.expanduser(word))
    return path if is_path(path) else os.path.join(".", path)


def _contradictions(suite: Suite) -> list[tuple[str, str]]:
    if suite.ruleset == "self" and suite.trials > 1:
        return [("trials", "self tuning has one trial per study; leave it out")]
    return []


def _wrong_workloads(suite: Suite) -> Iterator[_Wrong]:
    for number, id in enumerate(suite.workloads):
        if id in suite.workloads[:number]:
            yield ["workloads", number], f"{id!r} is given twice"
            continue
        try:
            workloads.get(id)
        except WorkloadError as problem:
            yield ["workloads", number], str(problem)
    for id in suite.targets:
        if id not in suite.workloads:
            yield ["targets", id], f"not among the workloads{nearest(id, suite.workloads)}"


def _sources(suite: Suite) -> tuple[dict[str, Source], list[_Wrong]]:
    """The submissions by their names, and what is wrong with the others."""
    sources: dict[str, Source] = {}
    wrong: list[_Wrong] = []
    for number, word in enumerate(suite.submissions):
        try:
            source = find(word)
        except SubmissionError as problem:
            wrong.append((["submissions", number], str(problem)))
            continue
        if source.name in sources:
            message = f"a second submission named {source.name!r}"
            wrong.append((["submissions", number], message))
        sources[source.name] = source
    return sources, wrong


def _wrong_points(suite: Suite, sources: dict[str, Source]) -> Iterator[_Wrong]:
    for id in suite.points_on:
        if id not in suite.workloads:
            yield ["points_on", id], f"not among the workloads{nearest(id, suite.workloads)}"
    for path, name, points in _all_points(suite):
        if name not in sources:
            yield path, f"not among the submissions{nearest(name, sources)}"
            continue
        for at, message in _wrong_list(suite, sources[name], points):
            yield [*path, *at], message


def _all_points(suite: Suite) -> Iterator[tuple[list[Key], str, Points]]:
    """Path, submission and points of every entry of `points` and `points_on`."""
    for name, points in suite.points.items():
        yield ["points", name], name, points
    for id, by_name in suite.points_on.items():
        for name, points in by_name.items():
            yield ["points_on", id, name], name, points


def _wrong_list(suite: Suite, source: Source, points: Points) -> Iterator[_Wrong]:
    if not points or (suite.ruleset == "self" and len(points) > 1):
        expected = "one point" if suite.ruleset == "self" else "at least one point"
        yield [], f"expected {expected}, found {len(points)}"
    for number, point in enumerate(points):
        for key in point:
            if key not in source.hyperparameters:
                hint = nearest(key, source.hyperparameters)
                yield [number, key], f"{source.name} has no such hyperparameter{hint}"
        for key, message in wrong_values(source, point):
            yield [number, key], message
