"""Adapts a torch file's settings for AlgoPerf's machine (eight processes, CUDA) to the trial's own.

Only two things are read otherwise, where a call is given them as plain words: the name of a CUDA
device, where there is none, is the CPU's; and a group's number of processes, as distributed
optimizers are told it, is 1, for a trial is one process. Neither is part of the algorithm. All else
stays as it is written; line numbers hold.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from types import CodeType

_GROUP = ("num_trainers_per_group", "group_size", "world_size")
_CUDA = re.compile(r"cuda(:\d+)?")
_FRAMEWORK = re.compile(r"^\s*(import|from) torch\b", re.MULTILINE)


def compiler(*, accelerator: bool) -> Callable[[str, str], CodeType]:
    """Compiles a file's text, from its path, for a machine with a CUDA device or without."""

    def compiled(text: str, origin: str) -> CodeType:
        tree = ast.parse(text, origin)
        if _FRAMEWORK.search(text):
            _Here(accelerator).visit(tree)
        return compile(tree, origin, "exec", dont_inherit=True)

    return compiled


def read_otherwise(texts: Mapping[str, str], *, accelerator: bool) -> Iterator[str]:
    """Every place in the files, by their paths, that is read otherwise, in words."""
    for path, text in texts.items():
        if path.endswith(".py") and _FRAMEWORK.search(text):
            here = _Here(accelerator)
            with contextlib.suppress(SyntaxError, ValueError, RecursionError):  # nothing of it runs
                here.visit(ast.parse(text))
            yield from (f"{path}:{line}: {what}" for line, what in here.changed)


class _Here(ast.NodeTransformer):
    def __init__(self, accelerator: bool) -> None:
        self._accelerator = accelerator
        self.changed: list[tuple[int, str]] = []

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A call, with what it is given."""
        self.generic_visit(node)
        node.args = [self._device(value) for value in node.args]
        for keyword in node.keywords:
            if keyword.arg in _GROUP:
                keyword.value = self._one(keyword.arg, keyword.value)
            else:
                keyword.value = self._device(keyword.value)
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr == "cuda" and not self._accelerator:
            self._note(node, "`.cuda()` becomes `.cpu()`")
            called.attr, node.args, node.keywords = "cpu", [], []
        return node

    def _device(self, value: ast.expr) -> ast.expr:
        cuda = isinstance(value, ast.Constant) and isinstance(value.value, str)
        if self._accelerator or not cuda or not _CUDA.fullmatch(value.value):  # type: ignore[attr-defined]
            return value
        self._note(value, f"{ast.unparse(value)} becomes 'cpu'")
        return ast.copy_location(ast.Constant("cpu"), value)

    def _one(self, name: str, value: ast.expr) -> ast.expr:
        number = value.value if isinstance(value, ast.Constant) else None
        if not isinstance(number, int) or isinstance(number, bool) or number <= 1:
            return value
        self._note(value, f"{name}={number} becomes 1")
        return ast.copy_location(ast.Constant(1), value)

    def _note(self, node: ast.expr, what: str) -> None:
        self.changed.append((node.lineno, what))
