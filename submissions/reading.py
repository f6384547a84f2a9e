"""A submission file's declarations, read from its syntax tree: nothing is executed."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

from scoring.ground.errors import nearest
from scoring.ground.words import Framework
from submissions.contract import RESERVED, SubmissionError
from submissions.space import SearchSpace, SpaceError, is_finite, shown

FUNCTION = "submission"
_CHANGING = ("append", "clear", "extend", "insert", "pop", "remove", "setdefault", "update")
"""The methods by which a dict or list is changed in place."""
_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclasses.dataclass(frozen=True, kw_only=True)
class StaticFacts:
    """The static facts of a submission file.

    Attributes:
        framework: "torch" if `params` is among the arguments of `submission`, else "jax".
        arguments: the arguments of `submission`, reserved names included, in their order.
        defaults: hyperparameters with a default; those without one are set by every point.
        space: the parsed `SEARCH_SPACE`, if any.
        closure: what the file's `CLOSURE` says, if anything: its optimizers want a closure or not.
        summary: the first line of the module's docstring.
        api: whose interface it is written for: ours, or AlgoPerf's.
    """

    framework: Framework
    arguments: tuple[str, ...]
    defaults: Mapping[str, object]
    space: SearchSpace | None
    closure: bool | None
    summary: str
    api: Literal["gradathlon", "algoperf"] = "gradathlon"


def read_facts(text: str, origin: str, files: Collection[str] = ()) -> StaticFacts:
    """The static facts of a submission's text; `origin` stands in messages for the file.

    `files` are the paths of those beside it, where a submission is a folder.

    Raises:
        SubmissionError: `origin:line: what is wrong; what to do`.
    """
    return _Reader(text, origin, files).read()


def parse_python(text: str, origin: str) -> ast.Module:
    """The syntax tree of a file that messages call `origin`.

    Raises:
        SubmissionError: `origin:line: not valid Python: why`.
    """
    try:
        return ast.parse(text, origin)
    except SyntaxError as error:
        line = error.lineno or 1
        raise SubmissionError(f"{origin}:{line}: not valid Python: {error.msg}") from None
    except (ValueError, MemoryError, RecursionError) as error:
        why = str(error) or "nested too deeply"
        raise SubmissionError(f"{origin}:1: not valid Python: {why}") from None


def first_line(tree: ast.Module) -> str:
    """The first line of a file's docstring; empty where there is none."""
    docstring = (ast.get_docstring(tree) or "").strip()
    # Halves of characters, which Python reads, cannot be written out.
    return docstring.encode(errors="replace").decode().splitlines()[0] if docstring else ""


def defines_submission(text: str) -> bool:
    """Whether a Python text has a top-level `def submission`; False when it is not Python."""
    if f"def {FUNCTION}(" not in text:
        return False
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return any(isinstance(node, ast.FunctionDef) and node.name == FUNCTION for node in tree.body)


class _Reader:
    def __init__(self, text: str, origin: str, files: Collection[str]) -> None:
        self.text = text
        self.origin = origin
        self.files = files

    def read(self) -> StaticFacts:
        tree = parse_python(self.text, self.origin)
        if not self.files:
            self._refuse_relative_imports(tree)
        arguments, defaults = self._signature(self._function(tree))
        space = self._space(tree, arguments)
        constant = self._constant(tree, "CLOSURE")
        closure = None if constant is None else self._literal(constant, "CLOSURE")
        if constant is not None and not isinstance(closure, bool):
            raise self._error(constant, "CLOSURE must be True or False")
        self._refuse_unset(tree, arguments, defaults, space)
        return StaticFacts(
            framework="torch" if "params" in arguments else "jax",
            arguments=arguments,
            defaults=defaults,
            space=space,
            closure=closure,
            summary=first_line(tree),
        )

    def _error(self, where: ast.AST | None, message: str) -> SubmissionError:
        line = getattr(where, "lineno", 1)
        return SubmissionError(f"{self.origin}:{line}: {message}")

    def _refuse_relative_imports(self, tree: ast.Module) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                name = "." * node.level + (node.module or "")
                advice = "move what it needs into the file, or use a folder with submission.py"
                raise self._error(node, f"imports {name}; {advice}")

    def _function(self, tree: ast.Module) -> ast.FunctionDef:
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        candidates = [node for node in functions if node.name == FUNCTION]
        if len(candidates) > 1:
            lines = f"here and on line {candidates[0].lineno}"
            raise self._error(candidates[1], f"`{FUNCTION}` is defined twice, {lines}; keep one")
        if candidates:
            self._refuse_another(tree, candidates[0])
            return candidates[0]
        for node in ast.walk(tree):
            if FUNCTION in _bound(node):
                advice = "write `def submission(...):` at the top level of the file"
                raise self._error(node, f"`{FUNCTION}` is not a plain function; {advice}")
        close = nearest(FUNCTION, [node.name for node in functions])
        hint = close if "did you mean" in close else "; `gradathlon new` writes one to start from"
        raise self._error(None, f"no function `{FUNCTION}`{hint}")

    def _refuse_another(self, tree: ast.Module, function: ast.FunctionDef) -> None:
        others = (node for node in tree.body if node is not function)
        for at in (at for node in others for at in _run_at_once(node)):
            if _binds(at, FUNCTION):
                advice = "keep one, as its arguments are read without running the file"
                raise self._error(at, f"`{FUNCTION}` is reassigned here; {advice}")

    def _signature(self, function: ast.FunctionDef) -> tuple[tuple[str, ...], dict[str, object]]:
        arguments = function.args
        if arguments.posonlyargs:
            raise self._error(
                arguments.posonlyargs[0],
                f"argument `{arguments.posonlyargs[0].arg}` is positional-only; remove the `/`",
            )
        for mark, odd in (("*", arguments.vararg), ("**", arguments.kwarg)):
            if odd:
                advice = "name every hyperparameter as an argument of its own"
                raise self._error(odd, f"argument `{mark}{odd.arg}` cannot be tuned; {advice}")
        defaults = {}
        for argument, default in _pairs(arguments):
            if default is not None and argument.arg not in RESERVED:
                what = f"the default of `{argument.arg}`"
                value = self._literal(default, what)
                if not _is_finite(value):
                    raise self._error(default, f"{what} must be finite, found {shown(value)}")
                defaults[argument.arg] = value
        return tuple(argument.arg for argument, _ in _pairs(arguments)), defaults

    def _literal(self, node: ast.expr, what: str) -> Any:
        try:
            value = ast.literal_eval(node)
        except (ValueError, TypeError):
            code = " ".join((ast.get_source_segment(self.text, node) or "").split())
            advice = "write a literal: it is read without running the file"
            raise self._error(node, f"{what} is `{code[:60]}`; {advice}") from None
        if not _is_json(value):
            plain = "a number, string, True, False, None, or a list or string-keyed dict of these"
            raise self._error(node, f"{what} must be {plain}")
        return value

    def _constant(self, tree: ast.Module, name: str) -> ast.expr | None:
        values = []
        for node in tree.body:
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if value is not None and name in _bound(node):
                values.append(value)
            elif isinstance(node, ast.AnnAssign):
                continue  # an annotation alone binds nothing
            elif odd := next((at for at in _run_at_once(node) if _changes(at, name)), None):
                advice = "assign it once, as a literal at the top level: it is read without running"
                raise self._error(odd, f"{name} is built or changed here; {advice} the file")
        if len(values) > 1:
            raise self._error(values[1], f"{name} is assigned twice; keep one")
        return values[0] if values else None

    def _space(self, tree: ast.Module, arguments: tuple[str, ...]) -> SearchSpace | None:
        node = self._constant(tree, "SEARCH_SPACE")
        if node is None:
            return None
        self._refuse_duplicate_keys(node)
        try:
            space = SearchSpace.parse(self._literal(node, "SEARCH_SPACE"))
        except SpaceError as error:
            at = _descend(node, error.path)
            raise self._error(at, f"SEARCH_SPACE: {error}") from None
        tunable = [name for name in arguments if name not in RESERVED]
        for name in space.names:
            if name not in tunable:
                at = _descend(node, (0, name) if space.points else (name,))
                what = f"SEARCH_SPACE: `{FUNCTION}` has no hyperparameter {name!r}"
                raise self._error(at, what + nearest(name, tunable))
        return space

    def _refuse_duplicate_keys(self, space: ast.expr) -> None:
        for node in ast.walk(space):
            if isinstance(node, ast.Dict):
                seen = set()
                for key in node.keys:
                    name = key.value if isinstance(key, ast.Constant) else None
                    if name in seen and key is not None:
                        raise self._error(key, f"SEARCH_SPACE: {name!r} is given twice; keep one")
                    seen.add(name)

    def _refuse_unset(
        self,
        tree: ast.Module,
        arguments: tuple[str, ...],
        defaults: Mapping[str, object],
        space: SearchSpace | None,
    ) -> None:
        for name in arguments:
            tuned = space is not None and name in space.names
            if name not in RESERVED and name not in defaults and not tuned:
                handed = "only `params` (torch) and `workload` are passed in"
                advice = f"give it one, or add it to SEARCH_SPACE; {handed}"
                raise self._error(self._function(tree), f"`{name}` has no default; {advice}")


def _pairs(arguments: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    missing = [None] * (len(arguments.args) - len(arguments.defaults))
    yield from zip(arguments.args, [*missing, *arguments.defaults], strict=True)
    yield from zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)


def _bound(node: ast.AST) -> list[str]:
    """The names that a statement binds, as far as they are plain names."""
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign):
        return [node.target.id] if isinstance(node.target, ast.Name) else []
    if isinstance(node, _DEFINITIONS):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    return []


def _run_at_once(node: ast.AST) -> Iterator[ast.AST]:
    """A statement and all in it, without what only a call of a function would run."""
    waiting = [node]  # no recursion: a sum of a thousand terms is a thousand deep
    while waiting:
        at = waiting.pop()
        yield at
        if not isinstance(at, _DEFINITIONS | ast.Lambda):
            waiting += reversed(list(ast.iter_child_nodes(at)))


def _binds(node: ast.AST, name: str) -> bool:
    """Whether this is where a global is bound, or unbound."""
    if isinstance(node, _DEFINITIONS):
        return node.name == name
    if isinstance(node, ast.Name):
        return node.id == name and not isinstance(node.ctx, ast.Load)
    return isinstance(node, ast.alias) and (node.asname or node.name) == name


def _changes(node: ast.AST, name: str) -> bool:
    """Whether this is where a global is bound, or a part of it changed."""
    if isinstance(node, ast.Subscript):
        return not isinstance(node.ctx, ast.Load) and _root(node) == name
    method = node.func if isinstance(node, ast.Call) else None
    if isinstance(method, ast.Attribute) and method.attr in _CHANGING:
        return _root(method) == name
    return _binds(node, name)


def _root(node: ast.expr) -> str:
    """The name that a chain of attributes and subscripts begins with."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _descend(node: ast.expr, path: tuple[str | int, ...]) -> ast.expr:
    """The deepest part of a literal on `path` that exists; a dict's part is its key."""
    at = node
    for part in path:
        if isinstance(node, ast.List | ast.Tuple) and isinstance(part, int):
            at = node = node.elts[part]
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == part:
                    at, node = key, value
    return at


def _is_finite(value: object) -> bool:
    """Whether all numbers in it are: 1e999 is a literal, too, and infinite."""
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, int | float) or is_finite(value)


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_is_json(item) for item in value)
    if isinstance(value, str):
        return all(not "\ud800" <= one <= "\udfff" for one in value)  # halves of characters
    return value is None or isinstance(value, bool | int | float)
