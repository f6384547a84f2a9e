"""YAML read into frozen typed models; an error names file, line and key."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pydantic
import pydantic_core
import yaml

from scoring.ground.errors import UserError, nearest
from scoring.ground.files import FileError, read_text
from scoring.ground.words import DIGEST

Key = str | int
Digest = Annotated[str, pydantic.Field(pattern=DIGEST)]
MOST_NODES = 300_000
"""Keys and values of the largest document, every use of an alias counted."""
MOST_TOLD = 20
"""Errors of one document that are told at once."""


class ConfigError(UserError):
    """A configuration that cannot be used: one line with file, line, key and what was expected."""


class Model(pydantic.BaseModel):
    """Base of every typed configuration: frozen, strict about unknown keys and about types."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)


M = TypeVar("M", bound=Model)


def read_yaml(path: Path, model: type[M]) -> M:
    """Read a YAML file into `model`.

    Raises:
        ConfigError: unreadable, malformed, a duplicate or unknown key, or a wrong value.
    """
    return parse_yaml(read_config(path), model, name=str(path))


def read_config(path: Path) -> str:
    """The text of a configuration.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return read_text(path)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except FileError as error:
        raise ConfigError(str(error)) from None


def parse_yaml(text: str, model: type[M], name: str) -> M:
    """As `read_yaml`, from text; `name` stands in messages for the file."""
    document = Document(text, name)
    return document.validate(model, document.data)


class Document:
    """Parsed YAML that remembers where each key stood."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        try:
            self._root = yaml.compose(text, Loader=yaml.SafeLoader)
            self._nodes = 0
            self._refuse_duplicates(self._root)
            # Not parsed again: of a large file that takes seconds.
            constructor = yaml.constructor.SafeConstructor()
            self.data = constructor.construct_document(self._root) if self._root else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f":{mark.line + 1}" if mark else ""
            raise ConfigError(f"{name}{where}: not valid YAML: {error.problem}") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{name}: not valid YAML: {str(error).splitlines()[0]}") from None
        except (ValueError, AttributeError, RecursionError) as error:
            # PyYAML lets these out for a date that is none, a wrong `!!int`, an endless alias.
            raise ConfigError(f"{name}: holds a value that YAML cannot read: {error}") from None

    def validate(self, model: type[M], data: object, at: Sequence[Key] = ()) -> M:
        """Check `data`, which stands at the path `at` of this document, against `model`.

        Raises:
            ConfigError: with the line of the first wrong key.
        """
        if not isinstance(data, dict):
            raise self.error(at, f"expected a mapping of keys, found {_kind(data)}")
        try:
            return model.model_validate(data)
        except pydantic.ValidationError as error:
            errors = error.errors(include_url=False)
            # A misspelt key is also a missing one: the misspelling is what to tell.
            misspelt = {one["loc"][:-1] for one in errors if one["type"] == "extra_forbidden"}
            lines = [
                one for one in errors if one["type"] != "missing" or one["loc"][:-1] not in misspelt
            ]
            raise together(
                self.error((*at, *one["loc"]), _explain(one, model)) for one in lines
            ) from None

    def error(self, path: Sequence[Key], message: str) -> ConfigError:
        """An error about the key at `path`, ready to be raised."""
        key = ".".join(str(part) for part in path)
        where = f"{self.name}:{self.line(path)}"
        return ConfigError(f"{where}: {key}: {message}" if key else f"{where}: {message}")

    def line(self, path: Sequence[Key]) -> int:
        """Line of the deepest part of `path` that exists, counted from 1."""
        node, line = self._root, 1
        for part in path:
            child = _child(node, part)
            if child is None:
                break
            line, node = child
        return line

    def _refuse_duplicates(self, node: yaml.Node | None) -> None:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise ConfigError(f"{self.name}: more than {MOST_NODES:,} keys and values")
        if isinstance(node, yaml.MappingNode):
            seen: set[Hashable] = set()
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    line = key.start_mark.line + 1
                    raise ConfigError(f"{self.name}:{line}: a key must be plain text")
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise ConfigError(f"{self.name}:{line}: {key.value}: given twice")
                seen.add(key.value)
                self._refuse_duplicates(value)
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._refuse_duplicates(item)


def together(errors: Iterable[ConfigError]) -> ConfigError:
    """All errors of a document as one, each on its line; of very many the first."""
    lines = list(dict.fromkeys(map(str, errors)))
    untold = len(lines) - MOST_TOLD
    more = [f"and {untold} more"] if untold > 0 else []
    return ConfigError("\n".join([*lines[:MOST_TOLD], *more]))


def _child(node: yaml.Node | None, part: Key) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item.start_mark.line + 1, item
    return None


def _explain(error: pydantic_core.ErrorDetails, model: type[Model]) -> str:
    kind, value = error["type"], error.get("input")
    if kind == "extra_forbidden":
        fields = _fields_at(model, error["loc"][:-1])
        return f"unknown key{nearest(str(error['loc'][-1]), fields)}"
    if kind == "missing":
        return "is missing"
    if kind == "literal_error":
        expected = error["ctx"]["expected"]
        words = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
        return f"{value!r} is not one of {expected}{nearest(str(value), words)}"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    shown = repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:77]}..."
    return f"expected {message}, found {shown}" if kind != "value_error" else message


def _fields_at(model: Any, path: Sequence[Key]) -> list[str]:
    for part in path:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return []
        model = field.annotation
    return list(getattr(model, "model_fields", {}))


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    return {"list": "a list", "str": "text"}.get(type(value).__name__, type(value).__name__)
