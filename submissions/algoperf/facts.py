"""An AlgoPerf file's declarations, read from its text and its `tuning_search_space.json`."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import json
import keyword
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath

from scoring.ground.words import Framework, Scalar
from submissions.contract import RESERVED, SubmissionError
from submissions.reading import StaticFacts, first_line, parse_python
from submissions.space import Range, SearchSpace, SpaceError

SPACE = "tuning_search_space.json"
"""Beside a file that is tuned from outside; a file without it tunes itself."""
FUNCTIONS = ("init_optimizer_state", "update_params", "data_selection", "get_batch_size")
_BEGINS = re.compile(r"^def (init_optimizer_state|update_params)\b", re.MULTILINE)
_FRAMEWORKS: tuple[Framework, ...] = ("torch", "jax")


def is_algoperf(text: str) -> bool:
    """Whether a text is meant for AlgoPerf, valid Python or not."""
    functions = set(_BEGINS.findall(text))
    return bool(functions) and all(name in text for name in FUNCTIONS[:2])


def read_algoperf(text: str, origin: str, files: Mapping[str, str]) -> StaticFacts:
    """The static facts of such a file; `files` are those beside it, by their paths.

    Raises:
        SubmissionError: one line: no valid Python, a function is missing, or a bad search space.
    """
    tree = parse_python(text, origin)
    bound = set(_bound(tree))
    for name in FUNCTIONS:
        if name not in bound:
            what = f"an AlgoPerf submission (`update_params`) without `{name}`"
            raise SubmissionError(f"{origin}: {what}; define it at the top level of the file")
    framework = _framework(tree, origin, files)
    space = _space(origin, files)
    names = space.names if space else ()
    reserved = ("params", "workload") if framework == "torch" else ("workload",)
    return StaticFacts(
        framework=framework,
        arguments=(*reserved, *names),
        defaults=_defaults(space),
        space=space,
        closure=None,
        summary=first_line(tree),
        api="algoperf",
    )


def has_device_axis(texts: Mapping[str, str]) -> bool:
    """Whether a JAX file's arrays carry a leading axis over devices, as `pmap` wants them.

    Its code tells, and not its comments: those of Shampoo speak of `pmap` in either case.
    """
    named = {name for path, text in texts.items() for name in _named(path, text)}
    return "pmap" in named or "jax_utils.replicate" in named


def wants_process_group(texts: Mapping[str, str]) -> bool:
    """Whether a torch file speaks to the other processes of its group without being one of many."""
    asks = r"\b(dist|distributed)\.(?!nn\b)\w+|\bget_world_size\b|\bnew_subgroups\b"
    return any(re.search(asks, text) for path, text in texts.items() if "test" not in path)


def _named(path: str, text: str) -> Iterator[str]:
    """What a file's code imports and calls by name; nothing where it is no Python."""
    tree = ast.Module([], [])
    if path.endswith(".py"):
        with contextlib.suppress(SyntaxError, ValueError, MemoryError, RecursionError):
            tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.Attribute):
            yield node.attr
            if isinstance(node.value, ast.Name):
                yield f"{node.value.id}.{node.attr}"


def _bound(tree: ast.Module) -> Iterator[str]:
    """The names of the top level, as far as a `def`, an import or an assignment gives them."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _framework(tree: ast.Module, origin: str, files: Mapping[str, str]) -> Framework:
    imported = set(_imported(tree))
    if not imported & set(_FRAMEWORKS):
        texts = " ".join(text for path, text in files.items() if path.endswith(".py"))
        imported = set(re.findall(r"^\s*(?:import|from) (torch|jax)\b", texts, re.MULTILINE))
    frameworks = [framework for framework in _FRAMEWORKS if framework in imported]
    if not frameworks:
        what = "an AlgoPerf submission that imports neither torch nor jax"
        raise SubmissionError(f"{origin}: {what}; import the one it is written in")
    return frameworks[0]


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def _space(origin: str, files: Mapping[str, str]) -> SearchSpace | None:
    if SPACE not in files:
        return None
    where = PurePath(origin).parent / SPACE
    try:
        space = _of_floats(SearchSpace.parse(json.loads(files[SPACE])))
    except json.JSONDecodeError as error:
        raise SubmissionError(f"{where}:{error.lineno}: not valid JSON: {error.msg}") from None
    except SpaceError as error:
        raise SubmissionError(f"{where}: {error}") from None
    except (ValueError, RecursionError) as error:  # too many digits, too deep
        raise SubmissionError(f"{where}: not valid JSON: {error}") from None
    for name in space.names:
        odd = not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_")
        if odd or name in RESERVED:
            raise SubmissionError(f"{where}: {name!r} cannot name a hyperparameter; rename it")
    return space


def _of_floats(space: SearchSpace) -> SearchSpace:
    """The space with ranges of floats: AlgoPerf draws any number between whole ones, too."""
    dimensions = {
        name: dataclasses.replace(part, low=float(part.low), high=float(part.high))
        if isinstance(part, Range)
        else part
        for name, part in space.dimensions.items()
    }
    return dataclasses.replace(space, dimensions=dimensions)


def _defaults(space: SearchSpace | None) -> dict[str, Scalar]:
    """The first of the points, or the middle of the ranges: the files give no defaults."""
    if space is None:
        return {}
    return dict(space.points[0]) if space.points else space.at([0.5] * len(space.names))
