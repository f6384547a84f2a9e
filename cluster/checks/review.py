"""Remarks for a reviewer from a submission's text, without running it."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
from collections.abc import Iterator

from submissions.algoperf.imports import EXTRA, serves
from submissions.bundle import split
from submissions.contract import SubmissionError
from submissions.reading import parse_python
from submissions.source import Source

_PRYING = frozenset(
    (
        "_thread",
        "cluster",
        "concurrent",
        "ctypes",
        "gc",
        "inspect",
        "multiprocessing",
        "scoring",
        "signal",
        "socket",
        "subprocess",
        "suite",
        "threading",
        "weakref",
        "workloads",
    )
)
_FIXED = frozenset(
    (
        "set_grad_enabled",
        "set_num_threads",
        "set_num_interop_threads",
        "set_default_dtype",
        "set_default_device",
        "set_float32_matmul_precision",
        "use_deterministic_algorithms",
        "set_flush_denormal",
        "sched_setaffinity",
        "setrlimit",
        "chdir",
        "fork",
        "_getframe",
        "addaudithook",
    )
)

_AT_THE_END = "__del__"


def worth_a_look(source: Source) -> list[str]:
    """What honest submissions seldom need, one phrase each.

    It prys, sets what a race fixes, or is run when an object goes, which may be off the clock.
    """
    main, files = split(source.text)
    others = {f"{path} ": text for path, text in files.items() if path.endswith(".py")}
    remarks: dict[str, None] = {}
    for where, text in {"": main, **others}.items():
        with contextlib.suppress(SubmissionError):  # what is no Python cannot be imported either
            for node in ast.walk(parse_python(text, source.origin)):
                for what in _odd(node):
                    remarks[f"{where}line {_line(node)} {what}"] = None
    return list(remarks)


def _odd(node: ast.AST) -> Iterator[str]:
    for name in imported(node):
        if name.split(".")[0] in _PRYING:
            yield f"imports {name}"
    called = _called(node)
    if called in _FIXED:
        yield f"calls {called}"
    if isinstance(node, ast.FunctionDef) and node.name == _AT_THE_END:
        yield f"defines {_AT_THE_END}"


def refuse_missing_imports(source: Source) -> None:
    """A package that the file cannot do without must be here before a race begins.

    Looks at the imports that are run at once and unconditionally: those within functions, `try`
    and `if` may have another way.

    Raises:
        SubmissionError: one is not installed: file, line, and what to do.
    """
    main, files = split(source.text)
    for node in ast.parse(main).body:
        for name in imported(node):
            top = name.split(".")[0]
            if source.api == "algoperf" and serves(top, files):
                continue
            if not is_installed(top):
                raise SubmissionError(
                    f"{source.origin}:{_line(node)}: imports {top}, which is not installed here; "
                    f"{_mend(top, source)}, or leave the submission out"
                )


def _mend(top: str, source: Source) -> str:
    theirs = source.api == "algoperf" and top in EXTRA
    return "pip install 'gradathlon[algoperf]'" if theirs else "install it beside gradathlon"


def imported(node: ast.AST) -> Iterator[str]:
    """The modules that a statement imports by their whole names; none of its own package."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
        yield node.module


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 1))


def is_installed(top: str) -> bool:
    """Whether a module of that name can be imported here; it is not."""
    try:
        return importlib.util.find_spec(top) is not None
    except ValueError:  # a module without a spec is here
        return True
