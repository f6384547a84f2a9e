"""A suite: which workloads and submissions race, under which ruleset, on which clock."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic

from workloads.yaml_config import ConfigError, Document, Key, Model, nearest

FOLDER = Path(__file__).parent / "suites"
Scalar = None | bool | int | float | str


class Holding(Model):
    """What one trial holds alone."""

    cores: pydantic.PositiveInt = 1
    gpus: pydantic.NonNegativeInt = 0


class Suite(Model):
    """The whole of a suite's YAML file."""

    title: str
    workloads: list[str] = pydantic.Field(min_length=1)
    submissions: list[str] = pydantic.Field(min_length=1)
    """Built-in names, installed ones, or paths, which are relative to the suite's file."""
    ruleset: Literal["external", "self"]
    studies: pydantic.PositiveInt
    trials: pydantic.PositiveInt = 1
    """Of each study; self tuning has one."""
    clock: Literal["wall", "cpu", "steps"] = "wall"
    seed: pydantic.NonNegativeInt = 0
    budget_factor: pydantic.PositiveFloat | None = None
    """On a workload's budget; None is 1 for external and 1.5 for self tuning, as in AlgoPerf."""
    resources: Holding = Holding()
    points: dict[str, list[dict[str, Scalar]]] = pydantic.Field(default_factory=dict)
    """Fixed hyperparameter points of some submissions, tried in order instead of tuned ones."""

    @property
    def factor(self) -> float:
        """The factor on a workload's budget."""
        if self.budget_factor is not None:
            return self.budget_factor
        return 1.5 if self.ruleset == "self" else 1.0


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
    _check_names(suite, document.error)
    return NamedSuite(path.stem, suite)


def _from_folder(word: str, folder: Path) -> str:
    is_path = word.endswith(".py") or "/" in word or os.sep in word
    return str(folder / word) if is_path else word


def _contradictions(suite: Suite) -> list[tuple[str, str]]:
    if suite.ruleset == "self" and suite.trials > 1:
        return [("trials", "self tuning has one trial a study; leave it out")]
    return []


def _check_names(suite: Suite, error: Callable[[Sequence[Key], str], ConfigError]) -> None:
    import workloads
    from submissions.contract import SubmissionError
    from submissions.source import find
    from workloads.errors import WorkloadError

    for number, id in enumerate(suite.workloads):
        if id in suite.workloads[:number]:
            raise error(["workloads", number], f"{id!r} is given twice")
        try:
            workloads.get(id)
        except WorkloadError as problem:
            raise error(["workloads", number], str(problem)) from None
    names: list[str] = []
    for number, word in enumerate(suite.submissions):
        try:
            names.append(find(word).name)
        except SubmissionError as problem:
            raise error(["submissions", number], str(problem)) from None
        if names[-1] in names[:-1]:
            raise error(["submissions", number], f"a second submission named {names[-1]!r}")
    for name in suite.points:
        if name not in names:
            raise error(["points", name], f"not among the submissions{nearest(name, names)}")
        _check_points(suite, name, find(suite.submissions[names.index(name)]), error)


def _check_points(
    suite: Suite, name: str, source: Any, error: Callable[[Sequence[Key], str], ConfigError]
) -> None:
    points = suite.points[name]
    if not points or (suite.ruleset == "self" and len(points) > 1):
        expected = "one point" if suite.ruleset == "self" else "at least one point"
        raise error(["points", name], f"expected {expected}, found {len(points)}")
    for number, point in enumerate(points):
        for key in point:
            if key not in source.hyperparameters:
                hint = nearest(key, source.hyperparameters)
                raise error(
                    ["points", name, number, key], f"{name} has no such hyperparameter{hint}"
                )
